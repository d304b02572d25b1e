//! The house rules of the sources, checked on the sources of all packages: imports respect the
//! layers and form no circles, `unsafe` stays in the files that are marked for it, and no file
//! grows without bounds.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use convoy_tests::{NamedPath, Token, paths, tokens};

/// The packages of the workspace; that of the derive macros is inside the engine's.
const PACKAGES: [&str; 5] = ["pool", "engine", "tests", "benches", "profiling"];

/// The layers of the engine, from low to high. A file imports from its own layer and lower ones.
const LAYERS: [&str; 8] =
    ["storage", "world", "query", "snapshot", "delta", "checkpoint", "provider", "host"];

const LINES_MAX: usize = 1_000;
const COLUMNS_MAX: usize = 120;

/// The files that may contain `unsafe`, and why.
const UNSAFE_FILES: [(&str, &str); 65] = [
    ("benches/benches/checkpoints.rs", "vouches for files that nobody else has"),
    ("benches/src/allocator.rs", "calls the C library"),
    ("engine/derive/src/bundle.rs", "writes the implementation of an unsafe trait"),
    ("engine/src/checkpoint/load.rs", "counts rows after columns were read"),
    ("engine/src/checkpoint/map.rs", "takes the word of callers for files that nobody writes"),
    ("engine/src/delta/apply.rs", "counts rows after columns were made those of a delta"),
    ("engine/src/query/access.rs", "makes runs writable by pointers to the memory of their world"),
    ("engine/src/query/condition.rs", "reads the chunk lists of bound columns"),
    ("engine/src/query/cursor.rs", "binds terms to tables, and opens runs"),
    ("engine/src/query/filter.rs", "passes the contract of conditions on"),
    ("engine/src/query/has.rs", "implements the unsafe trait of terms"),
    ("engine/src/query/iter.rs", "hands out fetched rows"),
    ("engine/src/query/parallel/listed.rs", "lists raw runs and visits them on several threads"),
    ("engine/src/query/parallel/read.rs", "runs the loops over fetched rows"),
    ("engine/src/query/pass.rs", "runs the loops over fetched rows"),
    ("engine/src/query/plan.rs", "takes the word of callers for choices that were made before"),
    ("engine/src/query/prepared.rs", "vouches for choices that were just made"),
    ("engine/src/query/query_mut.rs", "makes passes over rows that are borrowed exclusively"),
    ("engine/src/query/random.rs", "hands out fetched rows"),
    ("engine/src/query/selection.rs", "asks conditions on the rows of borrowed tables"),
    ("engine/src/query/shared.rs", "makes passes over columns that a query has borrowed"),
    ("engine/src/query/term_list.rs", "lends out the lists of raw handles"),
    ("engine/src/query/term_option.rs", "passes the contract of the term inside on"),
    ("engine/src/query/term_read.rs", "hands out rows of raw chunks"),
    ("engine/src/query/term_write.rs", "hands out rows of raw chunks"),
    ("engine/src/query/terms.rs", "hands out rows of raw chunks"),
    ("engine/src/query/tuples.rs", "passes the contracts of the parts of a tuple on"),
    ("engine/src/storage/chunk_list.rs", "says what a chunk's holder vouches for"),
    ("engine/src/storage/column/access.rs", "reads and writes rows of raw chunks"),
    ("engine/src/storage/column/blank.rs", "vouches for the chunk that stands for unused rows"),
    ("engine/src/storage/column/deferred.rs", "replaces chunks whose rows the caller copies"),
    ("engine/src/storage/frozen.rs", "vouches for captured chunks"),
    ("engine/src/storage/heap.rs", "says that all bytes are blocks"),
    ("engine/src/storage/history/restore.rs", "names the chunks of another world"),
    ("engine/src/storage/list.rs", "a derive can't see through the parameter of a type"),
    ("engine/src/storage/recorded.rs", "makes values of bytes that were recorded of them"),
    ("engine/src/storage/rows.rs", "reads rows of raw chunks"),
    ("engine/src/storage/table/restore.rs", "counts the rows of restored columns"),
    ("engine/src/storage/table/rows_mut.rs", "writes rows that were found writable in all columns"),
    ("engine/src/storage/table/share.rs", "points to columns that queries share out"),
    ("engine/src/world/bundle/parts.rs", "implements the unsafe trait of bundles for tuples"),
    ("engine/src/world/commands/order.rs", "pairs what a command does with the bytes it takes"),
    ("engine/src/world/event_log.rs", "takes the word of a sync for records that it copies"),
    ("engine/src/world/fill.rs", "vouches for rows that were just filled"),
    ("engine/src/world/heaps.rs", "points to heaps that queries share out"),
    ("engine/src/world/list_mut.rs", "lends out blocks, and grows them"),
    ("engine/src/world/lists.rs", "takes the handles of a store for lists of its elements"),
    ("engine/src/world/replica.rs", "counts rows after columns were made equal to others"),
    ("engine/src/world/resource.rs", "takes the word of a sync for a value that it copied"),
    ("pool/src/arena.rs", "takes the word of callers for chunks that they give back"),
    ("pool/src/arena/tests.rs", "gives chunks back"),
    ("pool/src/cell.rs", "moves ownership of cells through raw pointers"),
    ("pool/src/cell_pool.rs", "hands on the ownership of cells"),
    ("pool/src/chunk.rs", "sends the addresses of chunks between threads"),
    ("pool/src/lease.rs", "turns ownership of a cell into references to its value"),
    ("pool/src/publication.rs", "looks at a cell through the pointer that a board shows"),
    ("pool/src/scratch.rs", "turns a stamped handle back into the slice it names"),
    ("pool/src/slab.rs", "gives pages back to the system"),
    ("pool/tests/arena.rs", "gives chunks back"),
    ("pool/tests/loom/main.rs", "shares a value as the sources under test do"),
    ("pool/tests/loom/quarantine.rs", "implements a global allocator"),
    ("pool/tests/steady_state.rs", "implements a global allocator"),
    ("profiling/src/allocator.rs", "implements a global allocator"),
    ("tests/src/checkpoints.rs", "vouches for files that nobody else has"),
    ("tests/tests/checkpoints_mapped.rs", "vouches for files that nobody else has"),
];

/// A module, as the names that lead to it from the crate's root.
type Module = Vec<String>;

/// One source file of a crate.
struct Source {
    module: Module,
    /// Whether it is a `mod.rs` or `lib.rs`: only re-exports, not a node of the graph.
    is_index: bool,
    paths: Vec<NamedPath>,
}

/// The sources of one crate, by module.
struct Sources(BTreeMap<Module, Source>);

impl Sources {
    /// From pairs of a path below the crate's folder and the text.
    fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let sources = files.into_iter().map(|(path, text)| {
            let mut module: Module =
                path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
            let last = module.last().map(String::as_str);
            let is_index = matches!(last, Some("mod" | "lib"));
            if is_index || last == Some("main") {
                module.pop();
            }
            (module.clone(), Source { module, is_index, paths: paths(text) })
        });
        Self(sources.collect())
    }

    /// The modules of files that `source` imports from. Those in index files are followed through
    /// the re-export to the file that defines them.
    fn imports(&self, source: &Source) -> BTreeSet<Module> {
        let mut found = BTreeSet::new();
        for named in &source.paths {
            if let Some(path) = self.absolute(source, named) {
                self.resolve(&path, &mut found, 0);
            }
        }
        found.remove(&source.module);
        found
    }

    /// The path from the crate's root; `None` when it leads out of the crate or into the file.
    fn absolute(&self, source: &Source, named: &NamedPath) -> Option<Vec<String>> {
        let (first, rest) = named.parts.split_first()?;
        let mut base: Module = match first.as_str() {
            "crate" => return Some(rest.to_vec()),
            "self" | "super" => source.module.iter().chain(&named.inside).cloned().collect(),
            _ => {
                let mut child = source.module.clone();
                child.push(first.clone());
                let is_child = named.inside.is_empty() && self.0.contains_key(&child);
                return is_child.then(|| child.into_iter().chain(rest.to_vec()).collect());
            }
        };
        for part in &named.parts {
            match part.as_str() {
                "self" => {}
                "super" => drop(base.pop()),
                _ => break,
            }
        }
        let names = named.parts.iter().filter(|part| !matches!(part.as_str(), "self" | "super"));
        Some(base.into_iter().chain(names.cloned()).collect())
    }

    fn resolve(&self, path: &[String], found: &mut BTreeSet<Module>, depth: usize) {
        let Some(file) = (0..=path.len()).rev().find_map(|len| self.0.get(&path[..len])) else {
            return;
        };
        let rest = &path[file.module.len()..];
        let Some(name) = rest.first().filter(|_| file.is_index && depth < 8) else {
            found.insert(file.module.clone());
            return;
        };
        let mut is_re_export = false;
        for export in &file.paths {
            let glob = export.parts.last().is_some_and(|part| part == "*");
            let matches = export.alias.as_ref() == Some(name) || glob || name == "*";
            let path = self.absolute(file, export).filter(|_| matches && export.alias.is_some());
            if let Some(path) = path {
                is_re_export = true;
                self.resolve(&path, found, depth + 1);
            }
        }
        if !is_re_export {
            found.insert(file.module.clone());
        }
    }

    /// Imports of a higher layer, as "from -> to".
    fn upward_imports(&self, layers: &[&str]) -> Vec<String> {
        let layer = |module: &Module| {
            layers.iter().position(|layer| Some(*layer) == module.first().map(String::as_str))
        };
        let mut upward = Vec::new();
        for source in self.0.values() {
            let Some(own) = layer(&source.module) else { continue };
            for target in self.imports(source) {
                if layer(&target).is_some_and(|target| target > own) {
                    upward.push(format!("{} -> {}", source.module.join("::"), target.join("::")));
                }
            }
        }
        upward
    }

    /// One circle of imports between files, if there is any.
    fn circle(&self) -> Option<String> {
        let graph: BTreeMap<&Module, BTreeSet<Module>> = self
            .0
            .values()
            .filter(|source| !source.is_index)
            .map(|source| (&source.module, self.imports(source)))
            .collect();
        let mut done = BTreeSet::new();
        for start in graph.keys() {
            let mut trail = Vec::new();
            if let Some(circle) = walk(start, &graph, &mut trail, &mut done) {
                return Some(circle);
            }
        }
        None
    }
}

fn walk(
    module: &Module,
    graph: &BTreeMap<&Module, BTreeSet<Module>>,
    trail: &mut Vec<Module>,
    done: &mut BTreeSet<Module>,
) -> Option<String> {
    if let Some(start) = trail.iter().position(|each| each == module) {
        let circle = trail[start..].iter().chain([module]).map(|each| each.join("::"));
        return Some(circle.collect::<Vec<_>>().join(" -> "));
    }
    if done.contains(module) {
        return None;
    }
    trail.push(module.clone());
    let circle = graph.get(module).into_iter().flatten().find_map(|target| {
        if graph.contains_key(target) { walk(target, graph, trail, done) } else { None }
    });
    trail.pop();
    done.insert(module.clone());
    circle
}

fn has_unsafe(text: &str) -> bool {
    tokens(text).contains(&Token::Word("unsafe".to_owned()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All Rust files below a folder, with their paths from it.
fn files_below(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with("target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().replace('\\', "/");
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

/// All Rust files of all packages, with their paths from the root.
fn all_files() -> Vec<(String, String)> {
    let files = PACKAGES.iter().flat_map(|package| {
        let files = files_below(&root().join(package)).into_iter();
        files.map(move |(path, text)| (format!("{package}/{path}"), text))
    });
    files.collect()
}

/// The folders of all crates of several files. Benchmarks are crates that share modules.
fn crates() -> BTreeSet<String> {
    let files = all_files().into_iter();
    let roots = files.filter_map(|(path, _)| {
        let (folder, file) = path.rsplit_once('/')?;
        matches!(file, "lib.rs" | "main.rs").then(|| folder.to_owned())
    });
    roots.chain(["benches/benches".to_owned()]).collect()
}

/// The sources of the crate in a folder, without those of crates inside it.
fn sources_of(folder: &str) -> Sources {
    let inner: Vec<String> = crates()
        .into_iter()
        .filter_map(|each| Some(format!("{}/", each.strip_prefix(folder)?.strip_prefix('/')?)))
        .collect();
    let mut files = files_below(&root().join(folder));
    files.retain(|(path, _)| !inner.iter().any(|folder| path.starts_with(folder)));
    assert!(!files.is_empty(), "the sources in {folder} are there");
    Sources::new(files.iter().map(|(path, text)| (path.as_str(), text.as_str())))
}

#[test]
fn imports_of_the_engine_point_to_lower_layers_only() {
    let engine = sources_of("engine/src");
    assert_eq!(engine.upward_imports(&LAYERS), Vec::<String>::new());
    // The parser sees imports at all.
    let state = vec!["world".to_owned(), "state".to_owned()];
    let table = vec!["storage".to_owned(), "table".to_owned()];
    assert!(engine.imports(&engine.0[&state]).contains(&table));
}

#[test]
fn pool_does_not_know_the_engine() {
    for (path, text) in files_below(&root().join("pool")) {
        let names_engine = tokens(&text).contains(&Token::Word("convoy_engine".to_owned()));
        assert!(!names_engine, "pool/{path} names the engine");
    }
    let manifest = fs::read_to_string(root().join("pool/Cargo.toml")).unwrap();
    assert!(!manifest.contains("convoy-engine"));
}

#[test]
fn imports_form_no_circles() {
    let crates = crates();
    for package in [
        "pool/src",
        "engine/src",
        "engine/derive/src",
        "tests/src",
        "profiling/src",
        "profiling/flights/src",
    ] {
        assert!(crates.contains(package), "{package}");
    }
    for folder in crates {
        assert_eq!(sources_of(&folder).circle(), None, "in {folder}");
    }
}

#[test]
fn unsafe_code_stays_in_marked_files() {
    let mut marked = BTreeSet::new();
    for (path, text) in all_files() {
        let allows = |line: &str| line.starts_with("#![allow(") && line.contains("unsafe_code");
        let is_marked = text.lines().any(allows);
        let is_known = UNSAFE_FILES.iter().any(|(known, _)| *known == path);
        assert_eq!(is_marked, is_known, "{path} is marked and stands in the list");
        assert!(is_marked || !has_unsafe(&text), "{path} contains unsafe code");
        if is_marked {
            assert!(has_unsafe(&text), "{path} needs no mark");
            marked.insert(path);
        } else if path.ends_with("src/lib.rs") {
            assert!(text.contains("#![deny(unsafe_code)]"), "{path} denies it elsewhere");
        }
    }
    assert_eq!(marked.len(), UNSAFE_FILES.len(), "every file of the list exists");
    assert!(UNSAFE_FILES.iter().all(|(_, reason)| !reason.is_empty()));
}

/// How documentation begins that tells of panics in callbacks, or of later ones.
const CALLED_BACK: [&str; 3] = [
    "/// The iterator panics",
    "/// When `each` does, after all threads have come back.",
    "/// As [`Query::par_for_each`].",
];

/// The public functions whose documentation says that they panic for their callers, and that don't
/// pass the caller's place on to the panic.
fn untracked_panics(text: &str) -> Vec<String> {
    let (mut untracked, mut item) = (Vec::new(), Vec::new());
    for line in text.lines().map(str::trim) {
        if line.starts_with("///") || line.starts_with("#[") {
            item.push(line);
            continue;
        }
        let about = item.iter().skip_while(|line| **line != "/// # Panics").nth(2);
        let is_called_back =
            about.is_some_and(|about| CALLED_BACK.iter().any(|start| about.starts_with(start)));
        let panics = item.contains(&"/// # Panics") && !is_called_back;
        let is_function = line.starts_with("pub ") && line.contains("fn ");
        if panics && is_function && !item.contains(&"#[track_caller]") {
            untracked.push(line.to_owned());
        }
        item.clear();
    }
    untracked
}

#[test]
fn panics_point_at_the_caller() {
    for package in ["pool", "engine"] {
        for (path, text) in files_below(&root().join(package).join("src")) {
            assert_eq!(untracked_panics(&text), Vec::<String>::new(), "in {package}/src/{path}");
        }
    }
    let documented = "/// Spawns.\n///\n/// # Panics\n///\n/// When memory runs out.\n";
    let functions = ["pub fn spawn() {", "pub const fn spawn() {", "pub(crate) fn spawn() {"];
    for (function, found) in functions.into_iter().zip([1, 1, 0]) {
        assert_eq!(untracked_panics(&format!("{documented}{function}\n")).len(), found);
        let tracked = format!("{documented}#[inline]\n#[track_caller]\n{function}\n");
        assert_eq!(untracked_panics(&tracked), Vec::<String>::new());
    }
}

/// The public traits of a source that have hidden items: their names, and whether they are sealed.
fn hidden_traits(text: &str) -> Vec<(String, bool)> {
    let starts = text.match_indices("pub trait ").chain(text.match_indices("pub unsafe trait "));
    let traits = starts.filter_map(|(start, words)| {
        let item = &text[start + words.len()..];
        let (header, rest) = item.split_once('{')?;
        // Items are indented, and the trait ends where its line began.
        let line = text[..start].rfind('\n').map_or(0, |end| end + 1);
        let end = format!("\n{}}}", &text[line..start]);
        let end = if rest.starts_with('}') { Some(0) } else { rest.find(&end) };
        let body = &rest[..end.unwrap_or(rest.len())];
        let name: String = header.chars().take_while(|letter| letter.is_alphanumeric()).collect();
        body.contains("#[doc(hidden)]").then(|| (name, header.contains("Sealed")))
    });
    traits.collect()
}

#[test]
fn public_traits_with_hidden_items_are_sealed_by_a_trait_above_them() {
    let mut found = BTreeSet::new();
    for package in ["pool", "engine"] {
        let exports = exported_names(package);
        for (path, text) in files_below(&root().join(package).join("src")) {
            // Others can't be named, let alone implemented.
            let public = hidden_traits(&text).into_iter();
            for (name, is_sealed) in public.filter(|(name, _)| exports.contains(name)) {
                assert!(is_sealed, "{package}/src/{path}: {name}");
                found.insert(name);
            }
        }
    }
    assert!(["Filter", "Readable", "Terms"].iter().all(|&name| found.contains(name)));
}

/// The words of a source.
fn words(text: &str) -> impl Iterator<Item = String> {
    let tokens = tokens(text).into_iter();
    tokens.filter_map(|token| if let Token::Word(word) = token { Some(word) } else { None })
}

/// The names that a package exports, from its root and from its public modules.
fn exported_names(package: &str) -> BTreeSet<String> {
    let folder = root().join(package).join("src");
    let text = fs::read_to_string(folder.join("lib.rs")).unwrap();
    let modules: Vec<_> = words(&text).collect();
    let public = modules.windows(3).filter(|words| words[..2] == ["pub", "mod"]);
    let indices = public.map(|words| folder.join(&words[2]).join("mod.rs"));
    let indices: Vec<_> = indices.filter_map(|path| fs::read_to_string(path).ok()).collect();
    indices.iter().chain([&text]).flat_map(|text| words(text)).collect()
}

/// The types that a source makes public.
fn public_types(text: &str) -> BTreeSet<String> {
    let words: Vec<String> = words(text).filter(|word| word != "unsafe").collect();
    let is_type = |kind: &str| ["struct", "enum", "trait"].contains(&kind);
    let types = words.windows(3).filter(|words| words[0] == "pub" && is_type(&words[1]));
    types.map(|words| words[2].clone()).collect()
}

/// The types of `internal` that public functions and fields of exported types name, as "Owner names
/// Type".
fn unexported(text: &str, internal: &BTreeSet<String>, exported: &BTreeSet<String>) -> Vec<String> {
    let tokens = tokens(text);
    let word = |at: usize| match tokens.get(at) {
        Some(Token::Word(word)) => word.as_str(),
        _ => "",
    };
    let is_sign = |at: usize, sign: char| tokens.get(at) == Some(&Token::Sign(sign));
    let until = |at: usize, ends: &[char]| {
        (at..tokens.len()).find(|&at| ends.iter().any(|&end| is_sign(at, end)))
    };
    let (mut found, mut owner) = (Vec::new(), String::new());
    for at in 0..tokens.len() {
        let begins_item = at == 0 || ['}', ';', ']'].iter().any(|&sign| is_sign(at - 1, sign));
        let named = match word(at) {
            "impl" if begins_item => {
                // The type is the first name after `for`, or after the parameters of the block.
                let end = until(at, &['{']).unwrap_or(at);
                let mut depth = 0;
                let names = (at + 1..end).filter(|&at| {
                    depth += i32::from(is_sign(at, '<'));
                    depth -= i32::from(is_sign(at, '>') && !is_sign(at - 1, '-'));
                    depth == 0 && !word(at).is_empty()
                });
                let names: Vec<&str> = names.map(word).collect();
                let after = names.iter().rposition(|&name| name == "for").map_or(0, |at| at + 1);
                owner = names.get(after).map_or_else(String::new, |&name| name.to_owned());
                continue;
            }
            "struct" | "trait" if !word(at + 1).is_empty() => {
                word(at + 1).clone_into(&mut owner);
                continue;
            }
            "fn" if matches!(word(at - 1), "pub" | "const") => {
                at..until(at, &['{', ';']).unwrap_or(at)
            }
            "pub" if is_sign(at + 2, ':') => at..until(at, &[',', '}']).unwrap_or(at),
            _ => continue,
        };
        if exported.contains(&owner) {
            let unknown = named.map(word).filter(|&name| internal.contains(name));
            found.extend(unknown.map(|name| format!("{owner} names {name}")));
        }
    }
    found
}

#[test]
fn types_that_public_functions_name_are_exported() {
    let sources: Vec<_> = ["pool", "engine"]
        .iter()
        .flat_map(|package| files_below(&root().join(package).join("src")))
        .collect();
    let public = sources.iter().flat_map(|(_, text)| public_types(text));
    let public: BTreeSet<String> = public.collect();
    for package in ["pool", "engine"] {
        let folder = root().join(package).join("src");
        let exported = exported_names(package);
        let internal = public.difference(&exported).cloned().collect();
        for (path, text) in files_below(&folder) {
            let found = unexported(&text, &internal, &exported);
            assert_eq!(found, Vec::<String>::new(), "in {package}/src/{path}");
        }
    }
    let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let text = "pub struct A { pub one: B, two: C } impl<T: X<C>> D for A { } \
                impl A { pub fn f(&self) -> Option<C> { } fn g() -> B { } } \
                impl E { pub fn h() -> B { } }";
    let found = unexported(text, &set(&["B", "C"]), &set(&["A"]));
    assert_eq!(found, ["A names B", "A names C"]);
}

#[test]
fn no_file_is_longer_than_a_thousand_lines() {
    let files = all_files();
    for (path, text) in &files {
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "{path} has {lines} lines");
    }
    assert!(files.len() > 200);
}

/// The formatter wraps code, and nobody but the author wraps comments. Rows of tables can't be.
#[test]
fn comments_are_wrapped() {
    for (path, text) in all_files() {
        for (number, line) in (1..).zip(text.lines()) {
            let is_row = line.trim_start_matches(['/', '!', ' ']).starts_with('|');
            let is_comment = line.trim_start().starts_with("//") && !is_row;
            let length = line.chars().count();
            assert!(!is_comment || length <= COLUMNS_MAX, "{path}:{number} has {length} columns");
        }
    }
}

mod parser {
    use super::*;

    fn parts(source: &str) -> Vec<String> {
        paths(source).into_iter().map(|named| named.parts.join("::")).collect()
    }

    #[test]
    fn use_trees_are_read_with_lists_globs_and_renames() {
        let source = "use crate::a::{self, b::{C, d::*}, E as F,};\npub(crate) use super::{x, y};";
        assert_eq!(
            parts(source),
            [
                "crate::a",
                "crate::a::b::C",
                "crate::a::b::d::*",
                "crate::a::E",
                "super::x",
                "super::y"
            ]
        );
        assert_eq!(paths(source)[3].alias.as_deref(), Some("F"));
    }

    #[test]
    fn inline_paths_are_found_outside_of_comments_and_strings() {
        let source = r##"
            // crate::comment::X
            /* crate::block /* crate::nested */ crate::still */
            /// [`crate::doc::X`]
            fn f(a: crate::real::A, b: &'static str) -> impl Sized + use<> {
                let text = ("crate::string::X \" crate::y", r#"crate::raw::" X"#, '"', b'\'');
                super::other::call(text, 'a', "crate::end");
                $crate::macros::path!()
            }
            pub(crate) struct S;
        "##;
        assert_eq!(parts(source), ["crate::real::A", "super::other::call", "crate::macros::path"]);
    }

    #[test]
    fn blocks_of_modules_are_known_and_tests_left_out() {
        let source = "mod inner { use super::A; fn f() {} use super::super::B; }\n\
             use super::C;\n#[cfg(test)]\nmod tests { use super::*; use crate::x::Y; }\nuse super::D;";
        let found = paths(source);
        let inside: Vec<usize> = found.iter().map(|named| named.inside.len()).collect();
        assert_eq!((parts(source).len(), inside), (4, vec![1, 1, 0, 0]));
    }

    #[test]
    fn import_of_a_higher_layer_is_found_however_it_is_written() {
        let world = ("world/core.rs", "pub struct World;");
        let index = ("world/mod.rs", "mod core; pub use core::World;");
        let root = ("lib.rs", "mod storage; mod world; pub use world::World;");
        for offender in [
            "use crate::world::core::World;",
            "use crate::world::World;",
            "use crate::{world::{World as W}};",
            "use super::super::world::World;",
            "use crate::World;",
            "use crate::world::*;",
            "fn f(_: &crate::world::World) {}",
            "mod inner { use super::super::super::world::World; }",
        ] {
            let sources = Sources::new([root, index, world, ("storage/table.rs", offender)]);
            assert_eq!(
                sources.upward_imports(&LAYERS),
                ["storage::table -> world::core"],
                "{offender}"
            );
        }
        for harmless in
            ["// use crate::world::World;", "use std::world::World;", "use super::frozen;"]
        {
            let sources = Sources::new([root, index, world, ("storage/table.rs", harmless)]);
            assert_eq!(sources.upward_imports(&LAYERS), Vec::<String>::new(), "{harmless}");
        }
        let downward = ("world/edges.rs", "use crate::storage::table::Table;");
        let sources = Sources::new([root, index, downward, ("storage/table.rs", "")]);
        assert_eq!(sources.upward_imports(&LAYERS), Vec::<String>::new());
    }

    #[test]
    fn circle_is_found_through_re_exports() {
        let index = ("world/mod.rs", "mod a; mod b; mod c; pub use b::B;");
        let a = ("world/a.rs", "use crate::world::B;");
        let b =
            ("world/b.rs", "use super::c::C; #[cfg(test)] mod tests { use super::super::a::A; }");
        let open = Sources::new([index, a, b, ("world/c.rs", "")]);
        assert_eq!(open.circle(), None);
        let closed = Sources::new([index, a, b, ("world/c.rs", "fn f() -> super::a::A {}")]);
        let circle = closed.circle().unwrap();
        assert_eq!(circle, "world::a -> world::b -> world::c -> world::a");
    }

    #[test]
    fn circle_through_the_root_of_a_program_is_found() {
        let root = ("main.rs", "mod a; use a::A; struct B;");
        assert_eq!(Sources::new([root, ("a.rs", "struct A;")]).circle(), None);
        let closed = Sources::new([root, ("a.rs", "use super::B; struct A;")]);
        assert_eq!(closed.circle().unwrap(), " -> a -> ");
    }

    #[test]
    fn unsafe_is_found_as_code_only() {
        for offender in [
            "fn f() { unsafe { g() } }",
            "unsafe fn f() {}",
            "unsafe impl Send for S {}",
            "pub unsafe trait T {}",
            "fn f() {/* x */unsafe{}}",
        ] {
            assert!(has_unsafe(offender), "{offender}");
        }
        for harmless in [
            "// unsafe",
            "/* unsafe { } */",
            "#![deny(unsafe_code)]",
            "const TEXT: &str = \"unsafe { }\";",
            "const TEXT: &str = r#\"unsafe\"#;",
            "fn unsafely() {}",
        ] {
            assert!(!has_unsafe(harmless), "{harmless}");
        }
    }
}

/// The claims of the README name tests and files, which are there.
#[test]
fn readme_leads_to_what_is_there() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut links = 0;
    for (before, link) in readme.match_indices("](").map(|(at, _)| readme.split_at(at)) {
        let path = link[2..].split(')').next().unwrap();
        if path.contains("://") {
            continue;
        }
        let target = root().join(path);
        assert!(target.exists(), "README.md links to {path}");
        links += 1;
        // "`name` in [file.rs](path)" is a test of the file.
        let Some((before, name)) = before.rsplit_once(" in [") else { continue };
        if !name.contains(']')
            && let Some(before) = before.strip_suffix('`')
            && path.ends_with(".rs")
        {
            let test = before.rsplit('`').next().unwrap();
            let text = fs::read_to_string(&target).unwrap();
            assert!(text.contains(&format!("fn {test}(")), "README.md: {path} has no {test}");
        }
    }
    assert!(links > 20, "{links} links");
}

/// A page once promised an older toolchain than the packages build with.
#[test]
fn pages_name_the_minimum_rust_version_of_the_packages() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let version_after = |text: &str, label: &str| {
        let end = text.split_once(label).map(|(_, rest)| rest.trim_start_matches(['=', ' ', '"']));
        let number = end?.split(|each: char| !each.is_ascii_digit() && each != '.').next()?;
        Some(number.trim_end_matches('.').to_owned())
    };
    let minimum = version_after(&read("Cargo.toml"), "rust-version").unwrap();
    let pages =
        ["engine/src/lib.rs", "engine/src/guide/getting_started.md", "profiling/src/lib.rs"];
    for page in pages {
        let named = version_after(&read(page), "minimum Rust version is ");
        assert_eq!(named.as_ref(), Some(&minimum), "{page}");
    }
    let example = version_after(&read("profiling/example/Cargo.toml"), "rust-version");
    assert_eq!(example, Some(minimum), "profiling/example/Cargo.toml");
}
