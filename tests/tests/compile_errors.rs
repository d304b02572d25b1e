//! The errors of the compiler about types that can't be components or bundles.
//!
//! Each program is compiled as a user's own crate would be, and the text is looked for in the
//! compiler's output. Only our own words are expected, and those of `bytemuck`'s derives: the rest
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
const PAGE: &str = "a string is a `Text`, a `Vec` is a `List`; the page of `convoy_engine::Component` says what \
                    stands for maps, enums and pointers";

const CASES: [Case; 18] = [
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
        says: &["the layout of `Inner` is not known", "derive(convoy_engine::schema::TypeLayout)"],
    },
    Case {
        name: "single_component",
        program: "World::new().spawn(1.5_f32);",
        says: &["`f32` is not a bundle", "derives `Bundle`", "with a comma: `(position,)`"],
    },
    Case {
        name: "member_of_a_bundle",
        program: "#[derive(Bundle)] struct Ship { name: String } let _: Ship;",
        says: &["`String`", NO_COMPONENT, PAGE],
    },
    Case {
        name: "bundle_twice",
        program: "#[derive(Bundle)] struct Ship { x: f32, name: [u8; 8], y: f32 } let _: Ship;",
        says: &["an entity has one `f32`, and the bundle has two"],
    },
    Case {
        name: "bundle_of_an_enum",
        program: "#[derive(Bundle)] enum Order { Hold, Go(u32) } let _: Order;",
        says: &["only a struct can derive `Bundle`"],
    },
    Case {
        name: "bundle_too_long",
        program: "#[derive(Bundle)] struct Nine([u8; 1], [u8; 2], [u8; 3], [u8; 4], [u8; 5], \
                  [u8; 6], [u8; 7], [u8; 8], [u8; 9], [u8; 10], [u8; 11], [u8; 12], [u8; 13], \
                  ([u8; 14], [u8; 15]), [u8; 16], [u8; 17]); let _: Nine;",
        says: &["a bundle has at most sixteen components, not 17"],
    },
    Case {
        name: "bundle_and_component",
        program: "#[derive(Clone, Copy, NoUninit, CheckedBitPattern, Bundle)] #[repr(C)] \
                  struct Both { x: f32 } let _: Both;",
        says: &["conflicting implementations of trait `BundlePart` for type"],
    },
    Case {
        name: "tuple_in_a_tuple",
        program: "World::new().spawn(((1_u32, 2_u8), 0.5_f32));",
        says: &["`(u32, u8)`", "a tuple in a bundle", "derives `convoy_engine::Bundle`"],
    },
];

/// A program without `bytemuck` among the dependencies of its package.
const WITHOUT_BYTEMUCK: &str = "
    use convoy_engine::bytemuck::{CheckedBitPattern, NoUninit, Pod, Zeroable};
    use convoy_engine::schema::TypeLayout;
    use convoy_engine::{Bundle, Entity, World};

    #[derive(Clone, Copy, Pod, Zeroable, TypeLayout)]
    #[bytemuck(crate = \"convoy_engine::bytemuck\")]
    #[repr(C)]
    struct Position { x: f32, y: f32 }

    #[derive(Clone, Copy, NoUninit, CheckedBitPattern, TypeLayout)]
    #[bytemuck(crate = \"convoy_engine::bytemuck\")]
    #[repr(u32)]
    enum Order { Hold, Follow }

    #[derive(Clone, Copy, Pod, Zeroable, TypeLayout)]
    #[bytemuck(crate = \"convoy_engine::bytemuck\")]
    #[repr(C)]
    struct Pilot { leader: Entity }

    #[derive(Bundle)]
    struct Ship { position: Position, pilot: (Pilot, Order) }

    fn main() {
        let pilot = (Pilot { leader: Entity::NONE }, Order::Follow);
        World::new().spawn(Ship { position: Position { x: 1.0, y: 2.0 }, pilot });
    }
";

/// A package of its own whose programs are the cases.
fn lay_out(folder: &Path) {
    let dependency = "bytemuck = { version = \"1\", features = [\"derive\"] }\n";
    lay_out_package(folder, dependency);
    let control = Case { name: "control", program: "World::new().spawn((1_u32,));", says: &[] };
    for Case { name, program, .. } in CASES.iter().chain([&control]) {
        let text = format!(
            "#![allow(warnings)]\nuse bytemuck::{{CheckedBitPattern, NoUninit}};\n\
             use convoy_engine::query::*;\n\
             use convoy_engine::schema::TypeLayout;\nuse convoy_engine::*;\nfn main() {{ {program} }}\n"
        );
        fs::write(folder.join("src/bin").join(name).with_extension("rs"), text).unwrap();
    }
}

/// A package that depends on the engine, and on `dependency`.
fn lay_out_package(folder: &Path, dependency: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let engine = root.join("engine");
    fs::create_dir_all(folder.join("src/bin")).unwrap();
    let manifest = format!(
        "[package]\nname = \"cases\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         [dependencies]\nconvoy-engine = {{ path = {engine:?} }}\n{dependency}[workspace]\n"
    );
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
}

/// Whether a program compiles, and the output of the compiler.
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

#[test]
fn engine_is_all_that_a_program_with_components_depends_on() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("without_bytemuck");
    lay_out_package(&folder, "");
    fs::write(folder.join("src/bin/program.rs"), WITHOUT_BYTEMUCK).unwrap();
    let (compiles, says) = compile(&folder, "program");
    assert!(compiles, "{says}");
}
