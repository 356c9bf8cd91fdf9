//! Holds the house to its floors: reads every file under `src/` and refuses an import that points up or
//! sideways, a room without a floor, a file too long to read, and a map that tells of other rooms.
//!
//! What `#[cfg(test)]` guards may import what it likes and is not counted. Bans on functions are clippy's
//! (`clippy.toml`).

#![allow(clippy::expect_used, reason = "a test reports by failing")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::{
    Attribute, File, ImplItemFn, Item, ItemExternCrate, ItemMod, ItemUse, Macro, Meta, Path as SynPath,
    UseTree, VisRestricted,
    spanned::Spanned,
    visit::{self, Visit},
};

/// Every room and its floor, drawn as in the map (`docs/ARCHITECTURE.md`). A room imports from the floors below
/// its own, and on its own floor from the rooms that a comma puts before it; rooms parted by `│` never meet.
const FLOORS: &str = "
    10  cli, main
     9  app
     8  config
     7  server │ admin │ telemetry
     6  gateway
     5  route
     4  dialect │ proxy
     3  auth
     2  revocation
     1  store │ token │ password
     0  clock, id, net, secret, body, interim, metrics, readiness, access_log
";

/// Rooms that the floors would let meet, and why they do not.
const STRANGERS: &[(&str, &str, &str)] = &[("server", "gateway", "`app` gives the server its service")];

/// Lines of one file, tests not counted, past which it wants to be two.
const LONGEST: usize = 400;

/// Files that may be longer, and why. An entry that is no longer needed is refused.
const LONG: &[(&str, &str)] = &[];

#[test]
fn every_file_keeps_to_its_floor() {
    let faults = judge(&Floors::drawn(), &sources(), LONG);

    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_map_lists_exactly_the_rooms_that_stand() {
    let standing: BTreeSet<String> =
        sources().keys().filter_map(|file| room_of(file).map(str::to_owned)).collect();
    let described: BTreeSet<String> = map().lines().filter_map(described_room).map(str::to_owned).collect();

    assert_eq!(described, standing, "rooms described (left), rooms under src/ (right)");
    assert_eq!(described, Floors::drawn().rooms(), "rooms described (left), rooms with a floor (right)");
}

#[test]
fn the_map_draws_the_same_floors() {
    assert!(
        map().contains(FLOORS.trim_matches('\n')),
        "docs/ARCHITECTURE.md draws other floors than:\n{FLOORS}"
    );
}

#[test]
fn the_map_names_only_files_that_exist() {
    let map = map();
    let words = map.split(|letter: char| letter.is_whitespace() || "`(),;:".contains(letter));
    let named: Vec<&str> = words.filter(|word| word.ends_with(".rs") && *word != "foo.rs").collect();
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let gone: Vec<&&str> = named
        .iter()
        .filter(|name| !package.join("src").join(name).exists() && !package.join(name).exists())
        .collect();

    assert!(named.len() > 5, "the map shows no road: {named:?}");
    assert!(gone.is_empty(), "neither in src/ nor in the package: {gone:?}");
}

/// Sources by path below the package's folder, as `src/auth.rs`.
type Sources = BTreeMap<String, String>;

/// Everything wrong with the files, one sentence each: file, line, import, both floors.
fn judge(floors: &Floors, sources: &Sources, long: &[(&str, &str)]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut readings = Vec::new();
    for (file, source) in sources {
        match syn::parse_file(source) {
            Ok(syntax) => readings.push((file, source, Reader::read(floors, file, &syntax))),
            Err(error) => faults.push(format!("{file}:{}: {error}", error.span().start().line)),
        }
    }
    let tests: Vec<Vec<String>> =
        readings.iter().flat_map(|(.., reading)| reading.test_modules.clone()).collect();

    for (file, source, reading) in readings {
        if tests.iter().any(|module| modules_of(file).starts_with(module)) {
            continue;
        }
        faults.extend(reading.faults);
        let lines = source.lines().count() - reading.test_lines;
        match long.iter().find(|(allowed, _)| allowed == file) {
            None if lines > LONGEST => {
                faults.push(format!("{file}: {lines} lines, more than {LONGEST}: split it"))
            }
            Some(_) if lines <= LONGEST => faults.push(format!("{file}: is not long, needs no exception")),
            Some((_, why)) if why.trim().is_empty() => faults.push(format!("{file}: long without a reason")),
            _ => {}
        }
    }
    faults.extend(
        long.iter()
            .filter(|(file, _)| !sources.contains_key(*file))
            .map(|(file, _)| format!("{file}: does not exist, needs no exception")),
    );
    faults
}

/// Where each room stands.
struct Floors(BTreeMap<String, Place>);

/// A floor, the part of it between two bars, and the position among that part's commas.
#[derive(Clone, Copy)]
struct Place {
    floor: usize,
    part: usize,
    position: usize,
}

impl Floors {
    fn drawn() -> Self {
        let mut places = BTreeMap::new();
        for line in FLOORS.lines().filter(|line| !line.trim().is_empty()) {
            let (floor, rooms) = line.trim().split_once(' ').expect("a number, blanks, rooms");
            let floor = floor.parse().expect("a floor's number");
            for (part, rooms) in rooms.split('│').enumerate() {
                for (position, room) in rooms.split(',').enumerate() {
                    let earlier = places.insert(room.trim().to_owned(), Place { floor, part, position });
                    assert!(earlier.is_none(), "`{room}` stands on two floors");
                }
            }
        }
        Self(places)
    }

    fn rooms(&self) -> BTreeSet<String> {
        self.0.keys().cloned().collect()
    }

    /// Why `from` may not import `to`; nothing if it may.
    fn objection(&self, from: &str, to: &str) -> Option<String> {
        let Some(here) = self.0.get(from) else {
            return Some(format!("stands in `{from}`, which has no floor"));
        };
        let Some(there) = self.0.get(to) else { return Some(format!("names `{to}`, which has no floor")) };
        if let Some((.., why)) = STRANGERS.iter().find(|(one, other, _)| (*one, *other) == (from, to)) {
            return Some(format!("joins strangers: {why}"));
        }
        let before = here.part == there.part && there.position < here.position;
        let direction = if from == to || there.floor < here.floor || (there.floor == here.floor && before) {
            return None;
        } else if there.floor == here.floor {
            "sideways"
        } else {
            "up"
        };
        Some(format!(
            "points {direction}: `{from}` is on floor {}, `{to}` on floor {}",
            here.floor, there.floor
        ))
    }
}

/// Walks through one file and notes what it names of other rooms.
struct Reader<'a> {
    floors: &'a Floors,
    file: &'a str,
    /// The modules from the crate's root to where the reader is.
    modules: Vec<String>,
    faults: Vec<String>,
    test_lines: usize,
    /// Modules for tests alone that lie in files of their own.
    test_modules: Vec<Vec<String>>,
}

impl<'a> Reader<'a> {
    fn read(floors: &'a Floors, file: &'a str, syntax: &File) -> Self {
        let (faults, test_modules) = (Vec::new(), Vec::new());
        let mut reader =
            Self { floors, file, modules: modules_of(file), faults, test_lines: 0, test_modules };
        match room_of(file) {
            None => reader.read_root(syntax),
            Some(room) if !floors.0.contains_key(room) => {
                reader.fault(1, &format!("room `{room}` has no floor"))
            }
            Some(_) if syntax.attrs.iter().any(is_for_tests) => reader.test_modules.push(modules_of(file)),
            Some(_) => reader.visit_file(syntax),
        }
        reader
    }

    /// A name at the crate's root would be a road around every floor.
    fn read_root(&mut self, syntax: &File) {
        for item in &syntax.items {
            if !matches!(item, Item::Mod(module) if module.content.is_none()) {
                self.fault(
                    item.span().start().line,
                    "the crate's root declares rooms and holds nothing else",
                );
            }
        }
    }

    /// Judges a path by its names, wherever it starts: `crate::a`, `super::super::a`, `portcullis::a`.
    fn import(&mut self, names: &[&Ident]) {
        let Some(last) = names.last() else { return };
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut target = self.modules.clone();
        for (index, name) in names.iter().enumerate() {
            match name.as_str() {
                "crate" | "portcullis" if index == 0 => target.clear(),
                "self" if index == 0 => {}
                "super" => drop(target.pop()),
                _ if index == 0 => return,
                name => target.push(name.to_owned()),
            }
        }
        let room = room_of(self.file).unwrap_or_default();
        let objection = match target.first() {
            Some(to) => self.floors.objection(room, to),
            None => Some("takes in the crate's root: name a room".to_owned()),
        };
        if let Some(objection) = objection {
            self.fault(last.span().start().line, &format!("`{}` {objection}", names.join("::")));
        }
    }

    /// Paths inside a macro's or an attribute's tokens, which nobody has parsed.
    fn tokens(&mut self, stream: TokenStream) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        let mut rest = trees.as_slice();
        while let [tree, after @ ..] = rest {
            rest = after;
            match tree {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(first) if after_colons(rest).is_some() => {
                    let mut names = vec![first];
                    while let Some([TokenTree::Ident(next), after @ ..]) = after_colons(rest) {
                        names.push(next);
                        rest = after;
                    }
                    self.import(&names);
                }
                _ => {}
            }
        }
    }

    fn fault(&mut self, line: usize, what: &str) {
        self.faults.push(format!("{}:{line}: {what}", self.file));
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !attributes(item).iter().any(is_for_tests) {
            return visit::visit_item(self, item);
        }
        self.test_lines += lines(item);
        if let Item::Mod(ItemMod { ident, content: None, .. }) = item {
            self.test_modules.push(self.modules.iter().cloned().chain([ident.to_string()]).collect());
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        if function.attrs.iter().any(is_for_tests) {
            self.test_lines += lines(function);
        } else {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        self.modules.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.modules.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        for names in leaves(&item.tree) {
            self.import(&names);
        }
    }

    fn visit_item_extern_crate(&mut self, item: &'ast ItemExternCrate) {
        if item.ident == "self" || item.ident == "portcullis" {
            self.fault(item.ident.span().start().line, "a second name for the crate hides what is taken");
        }
    }

    fn visit_path(&mut self, path: &'ast SynPath) {
        if path.segments.len() > 1 {
            self.import(&path.segments.iter().map(|segment| &segment.ident).collect::<Vec<_>>());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invocation: &'ast Macro) {
        if invocation.path.is_ident("include") {
            self.fault(invocation.span().start().line, "`include!` hides where code belongs");
        }
        self.tokens(invocation.tokens.clone());
        visit::visit_macro(self, invocation);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("path") {
            self.fault(attribute.span().start().line, "`#[path]` hides where code belongs");
        }
        if let Meta::List(list) = &attribute.meta {
            self.tokens(list.tokens.clone());
        }
    }

    fn visit_vis_restricted(&mut self, _: &'ast VisRestricted) {
        // `pub(crate)`, `pub(in super::super)`: who may look in, not what is taken.
    }
}

/// The names of every import in a tree, from its root: a rename under its own name, a glob as what it opens.
fn leaves(tree: &UseTree) -> Vec<Vec<&Ident>> {
    match tree {
        UseTree::Path(path) => {
            leaves(&path.tree).into_iter().map(|rest| [vec![&path.ident], rest].concat()).collect()
        }
        UseTree::Group(group) => group.items.iter().flat_map(leaves).collect(),
        UseTree::Name(name) if name.ident == "self" => vec![Vec::new()],
        UseTree::Rename(rename) if rename.ident == "self" => vec![Vec::new()],
        UseTree::Name(name) => vec![vec![&name.ident]],
        UseTree::Rename(rename) => vec![vec![&rename.ident]],
        UseTree::Glob(_) => vec![Vec::new()],
    }
}

fn after_colons(trees: &[TokenTree]) -> Option<&[TokenTree]> {
    match trees {
        [TokenTree::Punct(one), TokenTree::Punct(two), rest @ ..]
            if one.as_char() == ':' && two.as_char() == ':' =>
        {
            Some(rest)
        }
        _ => None,
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        // Whatever else there is, is judged as code that ships.
        _ => &[],
    }
}

/// Exactly `#[cfg(test)]`: `#[cfg(any(test, …))]` ships.
fn is_for_tests(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.parse_args::<Meta>().is_ok_and(|meta| meta.path().is_ident("test"))
}

fn lines(node: &impl Spanned) -> usize {
    let span = node.span();
    span.end().line + 1 - span.start().line
}

/// The room that owns a file; none for the crate's root.
fn room_of(file: &str) -> Option<&str> {
    let room = file.trim_start_matches("src/").trim_end_matches(".rs").split('/').next();
    room.filter(|room| *room != "lib")
}

/// The module that a file holds, from the crate's root. `main` is the root of its own crate.
fn modules_of(file: &str) -> Vec<String> {
    let names = file.trim_start_matches("src/").trim_end_matches(".rs").split('/');
    names.filter(|name| !["lib", "main", "mod"].contains(name)).map(str::to_owned).collect()
}

/// A room's paragraph in the map begins with its name, bold and as code.
fn described_room(line: &str) -> Option<&str> {
    line.strip_prefix("**`")?.split_once("`**").map(|(room, _)| room)
}

fn map() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ARCHITECTURE.md");
    fs::read_to_string(path).expect("docs/ARCHITECTURE.md can be read")
}

fn sources() -> Sources {
    let mut sources = Sources::new();
    collect(Path::new(env!("CARGO_MANIFEST_DIR")), "src", &mut sources).expect("src/ can be read");
    assert!(sources.contains_key("src/lib.rs"), "src/ holds no library");
    sources
}

fn collect(package: &Path, folder: &str, sources: &mut Sources) -> io::Result<()> {
    for entry in fs::read_dir(package.join(folder))? {
        let entry = entry?;
        let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(package, &name, sources)?;
        } else if name.ends_with(".rs") {
            sources.insert(name, fs::read_to_string(entry.path())?);
        }
    }
    Ok(())
}

/// The judge itself, fed with houses that it must refuse.
mod the_judge {
    use super::*;

    #[test]
    fn lets_pass_what_points_down() {
        passes("src/auth.rs", "use crate::{id::UserId, store::{Store, User as Row}, token};");
        passes(
            "src/auth/login.rs",
            "use super::Principal; use crate::auth::Settings; use self::inner::Name;",
        );
        passes("src/auth/login/slow.rs", "fn f() { super::super::g(); crate::clock::Stopwatch::start(); }");
        passes("src/access_log/record.rs", "use crate::metrics::Verdict;");
        passes("src/cli/run.rs", "pub(crate) fn run() { m!(pub(crate) std::mem::take(&mut x)); }");
        passes("src/main.rs", "fn main() { portcullis::cli::main() }");
        passes("src/lib.rs", "//! Words.\npub mod auth;\npub mod store;");
    }

    #[test]
    fn refuses_what_points_up_wherever_it_is_written() {
        for (line, path, source) in [
            (1, "crate::auth::User", "use crate::auth::User;"),
            (3, "crate::auth::User", "use crate::{\n    id::UserId,\n    auth::{User as Row},\n};"),
            (1, "crate::auth", "pub use crate::auth::{self};"),
            (1, "super::auth", "use super::auth::*;"),
            (1, "super::super::auth", "mod rows { use super::super::auth; }"),
            (1, "crate::auth::User", "fn f(user: &crate::auth::User) {}"),
            (2, "crate::auth::User", "fn f() {\n    fn g() -> Vec<crate::auth::User> {}\n}"),
            (1, "crate::auth::User", "impl From<u8> for crate::auth::User {}"),
            (1, "crate::auth::Rule::y", "fn f() { let x = <u8 as crate::auth::Rule>::y; }"),
            (2, "crate::auth::name", "fn f() {\n    format!(\"{}\", [crate::auth::name()]);\n}"),
            (1, "crate::auth::name", "macro_rules! m { () => { $crate::auth::name() } }"),
            (2, "crate::auth::name", "#[derive(X)]\n#[x(with(crate::auth::name))]\nstruct S;"),
        ] {
            let fault = format!("{line}: `{path}` points up: `store` is on floor 1, `auth` on floor 3");
            refuses("src/store.rs", source, &fault);
        }
    }

    #[test]
    fn refuses_what_points_sideways() {
        refuses(
            "src/dialect/native.rs",
            "use crate::proxy::Body;",
            "1: `crate::proxy::Body` points sideways: `dialect` is on floor 4, `proxy` on floor 4",
        );
        refuses(
            "src/clock.rs",
            "use crate::metrics::Cell;",
            "1: `crate::metrics::Cell` points sideways: `clock` is on floor 0, `metrics` on floor 0",
        );
    }

    #[test]
    fn refuses_strangers_whatever_their_floors() {
        let fault = "1: `crate::gateway::Gateway` joins strangers: `app` gives the server its service";
        refuses("src/server/worker.rs", "use crate::gateway::Gateway;", fault);
    }

    #[test]
    fn refuses_rooms_without_a_floor() {
        refuses("src/util.rs", "", "1: room `util` has no floor");
        let fault = "1: `crate::util::pad` names `util`, which has no floor";
        refuses("src/auth.rs", "use crate::util::pad;", fault);
    }

    #[test]
    fn refuses_roads_around_the_floors() {
        for source in ["use crate::*;", "use crate as c;", "use crate::{self as c};", "m! { crate::{auth} }"]
        {
            refuses("src/store.rs", source, "1: `crate` takes in the crate's root: name a room");
        }
        refuses("src/store.rs", "use super::*;", "1: `super` takes in the crate's root: name a room");
        for source in ["extern crate self as c;", "extern crate portcullis as c;"] {
            refuses("src/store.rs", source, "1: a second name for the crate hides what is taken");
        }
        let fault = "1: `#[path]` hides where code belongs";
        refuses("src/store.rs", "#[path = \"../auth/login.rs\"]\nmod words;", fault);
        let fault = "1: `include!` hides where code belongs";
        refuses("src/store.rs", "include!(\"../auth/login.rs\");", fault);
        let fault = "2: the crate's root declares rooms and holds nothing else";
        refuses("src/lib.rs", "pub mod auth;\npub use crate::auth::User;", fault);
    }

    #[test]
    fn leaves_tests_alone_and_only_tests() {
        passes("src/store.rs", "#[cfg(test)]\nmod tests { use crate::auth::User; }");
        passes("src/store.rs", "#[cfg(test)]\nuse crate::auth::User;");
        passes("src/store.rs", "impl S { #[cfg(test)] fn f() { crate::auth::g(); } }");
        let fault = "2: `crate::auth::User` points up: `store` is on floor 1, `auth` on floor 3";
        refuses("src/store.rs", "#[cfg(not(test))]\nuse crate::auth::User;", fault);
        refuses("src/store.rs", "#[cfg(any(test, unix))]\nuse crate::auth::User;", fault);

        let (room, tests) = ("#[cfg(test)]\nmod tests;", "use crate::auth::User;");
        let faults = judged(&[("src/store.rs", room), ("src/store/tests.rs", tests)], &[]);
        assert_eq!(faults, NONE);
    }

    #[test]
    fn refuses_long_files_but_counts_no_tests() {
        let long = "const A: u8 = 1;\n".repeat(LONGEST + 1);
        let with_reason = |source, reason| judged(&[("src/auth.rs", source)], &[("src/auth.rs", reason)]);

        passes("src/auth.rs", &format!("#[cfg(test)]\nmod tests {{\n{long}}}\n"));
        assert_eq!(
            judged(&[("src/auth.rs", &long)], &[]),
            ["src/auth.rs: 401 lines, more than 400: split it"]
        );
        assert_eq!(with_reason(&long, "one table"), NONE);
        assert_eq!(with_reason(&long, " "), ["src/auth.rs: long without a reason"]);
        assert_eq!(with_reason("", "one table"), ["src/auth.rs: is not long, needs no exception"]);
        assert_eq!(
            judged(&[], &[("src/gone.rs", "one table")]),
            ["src/gone.rs: does not exist, needs no exception"]
        );
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        refuses("src/auth.rs", "fn f() {}\nfn ;", "2: expected identifier");
    }

    const NONE: [&str; 0] = [];

    #[track_caller]
    fn passes(file: &str, source: &str) {
        assert_eq!(judged(&[(file, source)], &[]), NONE, "{source}");
    }

    #[track_caller]
    fn refuses(file: &str, source: &str, fault: &str) {
        assert_eq!(judged(&[(file, source)], &[]), [format!("{file}:{fault}")], "{source}");
    }

    fn judged(files: &[(&str, &str)], long: &[(&str, &str)]) -> Vec<String> {
        let sources = files.iter().map(|(file, source)| ((*file).to_owned(), (*source).to_owned())).collect();
        judge(&Floors::drawn(), &sources, long)
    }
}
