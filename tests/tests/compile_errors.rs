//! What the compiler says to whoever uses a type that can't be a component.
//!
//! Each program is compiled as a user's own crate would be, and the text is looked for in what the
//! compiler prints. Only our own words are expected, and those of `bytemuck`'s derives: the rest
//! depends on the compiler.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

struct Case {
    name: &'static str,
    program: &'static str,
    says: &'static [&'static str],
}

const NO_COMPONENT: &str = "can't be a component, an event or a resource";
const DERIVE: &str = "bytemuck::NoUninit, bytemuck::CheckedBitPattern";
const PAGE: &str = "the page of `convoy_engine::Component` says what stands for strings, lists, maps, \
                    enums and pointers";

const CASES: [Case; 11] = [
    Case {
        name: "string",
        program: "World::new().spawn((String::from(\"Aurora\"),));",
        says: &["`String`", NO_COMPONENT, DERIVE, PAGE],
    },
    Case {
        name: "vec",
        program: "World::new().spawn((vec![1_u8],));",
        says: &["`Vec<u8>`", NO_COMPONENT, PAGE],
    },
    Case {
        name: "reference",
        program: "World::new().spawn((\"Aurora\",));",
        says: &["`&str`", NO_COMPONENT, PAGE],
    },
    Case {
        name: "map",
        program: "World::new().insert_resource(std::collections::HashMap::<u32, u32>::new()).unwrap();",
        says: &["`HashMap<u32, u32>`", NO_COMPONENT, PAGE],
    },
    Case {
        name: "event",
        program: "World::new().send_event(Box::new(1_u32));",
        says: &["`Box<u32>`", NO_COMPONENT, PAGE],
    },
    Case {
        name: "optional_entity",
        program: "World::new().spawn((None::<Entity>,));",
        says: &[
            "`Option<convoy_engine::Entity>`",
            NO_COMPONENT,
            "`Entity::NONE` and `entity.some()`",
        ],
    },
    Case {
        name: "without_derive",
        program: "#[derive(Clone, Copy)] struct Plain(u32); World::new().spawn((Plain(1),));",
        says: &["`Plain`", NO_COMPONENT, DERIVE],
    },
    Case {
        name: "padding",
        program: "#[derive(Clone, Copy, NoUninit, CheckedBitPattern)] #[repr(C)] \
                  struct Padded { small: u8, large: u32 } \
                  World::new().spawn((Padded { small: 1, large: 2 },));",
        says: &["derive(NoUninit) was applied to a type with padding"],
    },
    Case {
        name: "no_representation",
        program: "#[derive(Clone, Copy, NoUninit, CheckedBitPattern)] enum Mode { Idle, Busy } \
                  World::new().spawn((Mode::Idle, Mode::Busy));",
        says: &["NoUninit requires the enum to be", "repr("],
    },
    Case {
        name: "fields_in_variants",
        program: "#[derive(Clone, Copy, TypeLayout)] #[repr(u8)] enum Order { Go(u32) } \
                  let _ = Order::Go(1);",
        says: &["a variant of a component has no fields"],
    },
    Case {
        name: "layout_of_a_field",
        program: "#[derive(Clone, Copy)] struct Inner(u8); \
                  #[derive(Clone, Copy, TypeLayout)] #[repr(C)] struct Outer { inner: Inner } \
                  let _ = Outer { inner: Inner(1) };",
        says: &["the layout of `Inner` is not known", "derive(convoy_engine::TypeLayout)"],
    },
];

/// A crate of its own whose programs are the cases.
fn lay_out(folder: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let engine = root.join("engine");
    fs::create_dir_all(folder.join("src/bin")).unwrap();
    let manifest = format!(
        "[package]\nname = \"cases\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         [dependencies]\nconvoy-engine = {{ path = {engine:?} }}\n\
         bytemuck = {{ version = \"1\", features = [\"derive\"] }}\n[workspace]\n"
    );
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let control = Case { name: "control", program: "World::new().spawn((1_u32,));", says: &[] };
    for Case { name, program, .. } in CASES.iter().chain([&control]) {
        let text = format!(
            "#![allow(warnings)]\nuse bytemuck::{{CheckedBitPattern, NoUninit}};\n\
             use convoy_engine::*;\nfn main() {{ {program} }}\n"
        );
        fs::write(folder.join("src/bin").join(name).with_extension("rs"), text).unwrap();
    }
}

/// Whether a program compiles, and what the compiler prints.
fn compile(folder: &Path, name: &str) -> (bool, String) {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["check", "--quiet", "--offline", "--color", "never", "--bin", name])
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn types_that_are_no_components_are_refused_in_words_that_help() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compile_errors");
    lay_out(&folder);
    let (compiles, says) = compile(&folder, "control");
    assert!(compiles, "a program without mistakes: {says}");
    let mut missing = Vec::new();
    for case in CASES {
        let (compiles, says) = compile(&folder, case.name);
        assert!(!compiles, "{} compiles", case.name);
        // Lines are broken where they are long.
        let text = says.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in case.says {
            if !text.contains(part) {
                missing.push(format!("{}: {part:?} is not in\n{says}", case.name));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
