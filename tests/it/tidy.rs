//! Lint as a test: what the compiler does not hold us to. It reads the tree as text, crudely and on purpose: a rule that
//! needs a parser to check needs one to follow.
//!
//! Each test is one rule and names every place that breaks it. To add a module to `src/`, give it a place in [`LAYERS`].

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::ops::Range;
use std::path::Path;
use std::str::SplitWhitespace;
use std::sync::LazyLock;

/// The modules of `src/` from the bottom up: each may use those of earlier rows only. Those of the first and of the last
/// row may also use each other.
const LAYERS: [&[&str]; 17] = [
    &["actor", "error", "ids", "money", "scope", "sheet", "time", "config", "tls"],
    &["banking"],
    &["traces"],
    &["db"],
    &["events", "calendars"],
    &["access"],
    &["jobs", "channels"],
    &["approvals"],
    &["ledger"],
    &["chart"],
    &["expectations", "rates"],
    &["statements"],
    &["allocation"],
    &["four_eyes"],
    &["funding", "payments", "sweeps", "reconciliation", "positions", "folders", "transfers", "webhooks"],
    &["http", "web"],
    &["simulator", "demo", "cli", "app", "backup", "doctor", "main", "lib"],
];

/// Plumbing knows who asks and no feature. Only surfaces and the last row stand on it.
const PLUMBING: [&str; 2] = ["http", "web"];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 9] =
    ["util", "helper", "common", "manager", "service", "handler", "processor", "dto", "repo"];

const FILE_LINES: usize = 700;
const FUNCTION_LINES: usize = 100;
/// Files that may be longer, each with its reason.
const LONG_FILES: [(&str, &str); 1] =
    [("src/db/schema.rs", "one macro for each table, which diesel joins in one place")];

#[test]
fn every_module_has_a_place_in_the_layers() {
    let homeless = sources("src/").filter(|s| rank(s.module()).is_none());
    none("give these a place in LAYERS", homeless.map(|s| s.path.clone()));
}

#[test]
fn no_module_uses_one_above_it() {
    let uses = sources("src/").flat_map(|s| s.used_modules().into_iter().map(move |(line, used)| (s, line, used)));
    let wrong = uses.filter(|(s, _, used)| !may_use(s, used));
    none(
        "these look up, or at a neighbour, through the layers (and `use crate::{..}` hides what is used: one `use` each)",
        wrong.map(|(s, line, used)| format!("{}:{line} uses {used}", s.path)),
    );
}

#[test]
fn diesel_appears_only_in_db_and_in_stores() {
    let allowed = |s: &Source| s.module() == "db" || s.file() == "store.rs" || s.path.contains("/store/");
    let wrong = sources("src/").filter(|s| !allowed(s) && s.code.contains("diesel"));
    none("SQL belongs into store.rs", wrong.map(|s| s.path.clone()));
}

#[test]
fn actix_appears_only_at_the_rim() {
    let allowed = |s: &Source| PLUMBING.contains(&s.module()) || ["app.rs", "api.rs", "page.rs"].contains(&s.file());
    let wrong = sources("src/").filter(|s| !allowed(s) && s.code.contains("actix_web"));
    none("the core is synchronous and knows no HTTP", wrong.map(|s| s.path.clone()));
}

#[test]
fn every_file_says_what_it_is() {
    let wrong = sources("").filter(|s| !s.text.starts_with("//!"));
    none("these do not begin with //!", wrong.map(|s| s.path.clone()));
}

#[test]
fn no_file_is_too_long() {
    let excused = |s: &Source| LONG_FILES.iter().any(|(path, _)| *path == s.path);
    let long = sources("").filter(|s| s.text.lines().count() > FILE_LINES && !excused(s));
    none("these are over 700 lines", long.map(|s| format!("{}: {} lines", s.path, s.text.lines().count())));
}

#[test]
fn no_function_is_too_long() {
    let functions = sources("").flat_map(|s| s.functions().into_iter().map(move |(line, lines)| (s, line, lines)));
    let long = functions.filter(|(_, _, lines)| *lines > FUNCTION_LINES);
    none("these are over 100 lines", long.map(|(s, line, lines)| format!("{}:{line}: {lines} lines", s.path)));
}

#[test]
fn names_say_something() {
    let empty = |name: &str| {
        let mut words = name.trim_end_matches(".rs").split('_');
        words.any(|word| EMPTY_NAMES.contains(&word.trim_end_matches('s')))
    };
    let wrong = sources("").flat_map(|s| {
        let modules = named(&s.code, "mod ").map(|(_, name)| name);
        let names = s.path.split('/').chain(modules).filter(|n| empty(n));
        names.map(|n| format!("{}: {n}", s.path)).collect::<Vec<_>>()
    });
    none("these names say nothing", wrong);
}

#[test]
fn no_path_of_one_machine_is_built_in() {
    let paths = ["work", "root", "tmp"].map(|folder| format!("/{folder}/"));
    let wrong = sources("").filter(|s| paths.iter().any(|p| s.text.contains(p.as_str())));
    none("these name a folder of one machine", wrong.map(|s| s.path.clone()));
}

#[test]
fn every_refusal_code_is_documented() {
    let documented = documented_codes();
    let missing = refusal_codes().into_iter().filter(|(code, _)| !documented.contains(code));
    none("missing in the table of docs/refusals.md", missing.map(|(code, path)| format!("{code} ({path})")));
}

#[test]
fn every_documented_refusal_code_is_still_given() {
    let given = refusal_codes();
    let stale = documented_codes().into_iter().filter(|code| !given.contains_key(code));
    none("docs/refusals.md has codes that nothing gives", stale);
}

#[test]
fn every_dependency_says_why_it_is_there() {
    let mut wrong = Vec::new();
    let (mut among_dependencies, mut under_comment) = (false, false);
    for line in read("Cargo.toml").lines() {
        match line.chars().next() {
            None => under_comment = false,
            Some('#') => under_comment = true,
            Some('[') => among_dependencies = line.contains("dependencies"),
            Some(c) if among_dependencies && c.is_alphanumeric() && !under_comment && !line.contains(" # ") => {
                wrong.push(line.to_owned());
            }
            Some(_) => {}
        }
    }
    none("these need a comment on the line or above their group", wrong);
}

#[test]
fn the_map_names_every_invariant() {
    let map = read("ARCHITECTURE.md");
    let words: BTreeSet<&str> = map.split(|c: char| !c.is_alphanumeric()).collect();
    let missing = (1..=11).map(|n| format!("I{n}")).filter(|i| !words.contains(i.as_str()));
    none("ARCHITECTURE.md does not mention these invariants", missing);
}

#[test]
fn the_documents_are_there() {
    let documents =
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "docs/accounting.md", "docs/refusals.md", "docs/rules.md"];
    none("missing or empty", documents.iter().filter(|d| read(d).trim().is_empty()));
}

#[test]
fn every_dependency_has_a_licence_that_we_accept() {
    let rules: toml::Table = toml::from_str(&read("deny.toml")).expect("deny.toml is TOML");
    let rules = &rules["licenses"];
    let list = |value: &toml::Value| -> Vec<String> { value.clone().try_into().expect("a list of licences") };
    let everywhere = list(&rules["allow"]);
    let excepted = |name: &str| {
        let exceptions = rules.get("exceptions").and_then(toml::Value::as_array).into_iter().flatten();
        exceptions.filter(|e| e["crate"].as_str() == Some(name)).flat_map(|e| list(&e["allow"])).collect::<Vec<_>>()
    };
    let wrong = dependencies().into_iter().filter(|(name, licence)| {
        let here = excepted(name);
        !permits(licence, &|l| everywhere.iter().chain(&here).any(|a| a == l))
    });
    none("deny.toml does not accept these", wrong.map(|(name, licence)| format!("{name}: {licence}")));
}

#[test]
fn a_licence_expression_is_read_as_spdx_means_it() {
    let mit_and_zlib = |l: &str| l == "MIT" || l == "Zlib";
    for yes in
        ["MIT", "GPL-3.0 OR MIT", "Apache-2.0/MIT", "MIT AND Zlib", "(GPL-3.0 OR MIT) AND Zlib", "X WITH y OR MIT"]
    {
        assert!(permits(yes, &mit_and_zlib), "{yes}");
    }
    for no in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Zlib) AND GPL-3.0", "MIT WITH additions"] {
        assert!(!permits(no, &mit_and_zlib), "{no}");
    }
}

#[test]
fn comments_and_literals_are_told_from_code() {
    let text = r##"let a = '"'; // b"
        let c: &'static str = "d // \" e"; let f = r#"g " h"#; /* i */ let j = '\'';"##;
    let code = blanked(text, &[Kind::Comment, Kind::Literal]);
    assert_eq!(code.len(), text.len());
    let words: Vec<&str> = code.split_whitespace().collect();
    assert_eq!(words.join(" "), "let a = ; let c: &'static str = ; let f = ; let j = ;");
}

/// Fails with all of them, under a sentence that says what is wrong.
#[track_caller]
fn none<T: ToString>(sentence: &str, wrong: impl IntoIterator<Item = T>) {
    let wrong: Vec<String> = wrong.into_iter().map(|w| w.to_string()).collect();
    assert!(wrong.is_empty(), "{sentence}:\n  {}", wrong.join("\n  "));
}

fn rank(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

fn may_use(source: &Source, used: &str) -> bool {
    let own = source.module();
    // `on!` is a macro of `db`, and macros live at the crate's root.
    let used = if used == "on" { "db" } else { used };
    let (Some(high), Some(low)) = (rank(own), rank(used)) else { return false };
    let is_rim = high == LAYERS.len() - 1;
    let is_surface = ["api.rs", "page.rs"].contains(&source.file());
    if own == used || is_rim {
        true
    } else if PLUMBING.contains(&own) {
        rank("access").is_some_and(|access| low <= access)
    } else if used == "four_eyes" && is_surface {
        // The command behind a change that takes four eyes is to ask for it there, whatever it is about.
        true
    } else if PLUMBING.contains(&used) || (used == "positions" && low >= high) {
        is_surface
    } else {
        low < high || high == 0 && low == 0
    }
}

/// A Rust file of ours.
struct Source {
    /// From the root of the repository: `src/ledger/store.rs`.
    path: String,
    text: String,
    /// The text with blanks in place of comments and literals, of the same length.
    code: String,
}

impl Source {
    fn file(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// `ledger` for `src/ledger/store.rs`, `money` for `src/money.rs`.
    fn module(&self) -> &str {
        self.path.split('/').nth(1).unwrap_or_default().trim_end_matches(".rs")
    }

    /// How far the file is not unit tests, which stand at its bottom.
    fn production(&self) -> usize {
        self.code.find("#[cfg(test)]\nmod ").unwrap_or(self.code.len())
    }

    /// The modules that the code of this file names, and where.
    fn used_modules(&self) -> Vec<(usize, &str)> {
        named(&self.code[..self.production()], "crate::").map(|(at, name)| (self.line(at), name)).collect()
    }

    /// First line and number of lines of each function.
    fn functions(&self) -> Vec<(usize, usize)> {
        let bodies = named(&self.code, "fn ").filter_map(|(at, _)| Some((at, block(&self.code, at)?.end)));
        bodies.map(|(start, end)| (self.line(start), 1 + self.line(end) - self.line(start))).collect()
    }

    fn line(&self, at: usize) -> usize {
        1 + self.code[..at].matches('\n').count()
    }
}

/// The Rust files whose path begins so.
fn sources(prefix: &'static str) -> impl Iterator<Item = &'static Source> {
    static ALL: LazyLock<Vec<Source>> = LazyLock::new(|| {
        let mut all = Vec::new();
        for folder in ["src", "tests", "benches"] {
            collect(Path::new(folder), &mut all);
        }
        assert!(all.iter().any(|s| s.path == "src/lib.rs"), "the tree is read from its root");
        all
    });
    ALL.iter().filter(move |s| s.path.starts_with(prefix))
}

fn collect(folder: &Path, all: &mut Vec<Source>) {
    // A folder that is not there holds no file that breaks a rule.
    let Ok(entries) = root().join(folder).read_dir() else { return };
    for entry in entries.map(|e| e.expect("a readable folder")) {
        let path = folder.join(entry.file_name());
        if entry.path().is_dir() {
            collect(&path, all);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let path = path.to_string_lossy().into_owned();
            let text = read(&path);
            all.push(Source { code: blanked(&text, &[Kind::Comment, Kind::Literal]), path, text });
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file, empty when it is not there.
fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_default()
}

/// The names that stand behind a marker such as `fn `, and where.
fn named<'c>(code: &'c str, marker: &'static str) -> impl Iterator<Item = (usize, &'c str)> {
    let in_name = |c: char| c.is_alphanumeric() || c == '_';
    let places = code.match_indices(marker).filter(move |(at, _)| !code[..*at].ends_with(in_name));
    places.map(move |(at, _)| (at, code[at + marker.len()..].split(|c| !in_name(c)).next().unwrap_or_default()))
}

/// The braces that open next, to their end; `None` when a semicolon comes before them.
fn block(code: &str, from: usize) -> Option<Range<usize>> {
    let (mut depth, mut start) = (0, None);
    for (at, c) in code[from..].char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ';' if depth == 0 => return None,
            _ => {}
        }
        match c {
            '{' => start = start.or(Some(from + at)),
            '}' if depth == 0 => return Some(start?..from + at + 1),
            _ => {}
        }
    }
    None
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// The text with blanks in place of some kinds; offsets and lines stay what they were.
fn blanked(text: &str, kinds: &[Kind]) -> String {
    let blank = |piece: &str| piece.bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }).collect::<String>();
    pieces(text).into_iter().map(|(kind, p)| if kinds.contains(&kind) { blank(p) } else { p.to_owned() }).collect()
}

fn pieces(text: &str) -> Vec<(Kind, &str)> {
    let mut pieces = Vec::new();
    let (mut begin, mut at) = (0, 0);
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let comment = || {
            let (_, end) = [("//", "\n"), ("/*", "*/")].into_iter().find(|(open, _)| rest.starts_with(open))?;
            Some((Kind::Comment, rest.find(end).map_or(rest.len(), |e| e + end.len())))
        };
        match comment().or_else(|| Some((Kind::Literal, literal(rest)?))) {
            None => at += c.len_utf8(),
            Some((kind, length)) => {
                pieces.push((Kind::Code, &text[begin..at]));
                pieces.push((kind, &rest[..length]));
                at += length;
                begin = at;
            }
        }
    }
    pieces.push((Kind::Code, &text[begin..]));
    pieces
}

/// The length of the string or character that begins here.
fn literal(rest: &str) -> Option<usize> {
    let escaped = |quote: char| {
        let mut chars = rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => drop(chars.next()),
                _ if c == quote => return Some(at + 1),
                _ => {}
            }
        }
        Some(rest.len())
    };
    match rest.chars().next()? {
        '"' => escaped('"'),
        // Otherwise a lifetime.
        '\'' if rest[1..].starts_with('\\') || rest.chars().nth(2) == Some('\'') => escaped('\''),
        'r' => {
            let hashes = rest[1..].bytes().take_while(|b| *b == b'#').count();
            let inside = rest[1 + hashes..].strip_prefix('"')?;
            let end = format!("\"{}", "#".repeat(hashes));
            Some(inside.find(&end).map_or(rest.len(), |e| 2 + hashes + e + end.len()))
        }
        _ => None,
    }
}

/// Every refusal code that the program can give, and a file that gives it.
fn refusal_codes() -> BTreeMap<String, &'static str> {
    let mut codes = BTreeMap::new();
    for source in sources("src/") {
        let code = &source.code[..source.production()];
        let text = blanked(&source.text, &[Kind::Comment]);
        let from = |marker: &'static str| code.match_indices(marker).filter_map(|(at, _)| block(code, at));
        for body in from("Refusal for Refusal ").chain(from("impl Error {")) {
            let Some(function) = code[body.clone()].find("fn code(").and_then(|at| block(code, body.start + at)) else {
                continue;
            };
            codes.extend(text[function].split('"').skip(1).step_by(2).map(|c| (c.to_owned(), source.path.as_str())));
        }
        for body in from("Error::Refused {") {
            let given = text[body].split_once("code: \"").and_then(|(_, rest)| rest.split_once('"'));
            codes.extend(given.map(|(c, _)| (c.to_owned(), source.path.as_str())));
        }
    }
    codes
}

/// The codes in the table of docs/refusals.md.
fn documented_codes() -> BTreeSet<String> {
    let documented = read("docs/refusals.md");
    let rows = documented.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(code, _)| code.to_owned()).collect()
}

/// Name and licence of everything that can be built in, on any platform and with any feature.
fn dependencies() -> Vec<(String, String)> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["metadata", "--format-version", "1", "--locked", "--all-features"];
    let output = std::process::Command::new(cargo).args(arguments).current_dir(root()).output().expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("none declared").to_owned();
    packages.iter().map(|p| (text(&p["name"]), text(&p["license"]))).collect()
}

/// Whether an SPDX expression can be met with the licences that we accept; "/" is an old way to write OR.
fn permits(expression: &str, accepted: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    any_of(&mut spaced.split_whitespace().peekable(), accepted)
}

fn any_of(words: &mut Peekable<SplitWhitespace<'_>>, accepted: &dyn Fn(&str) -> bool) -> bool {
    let mut met = all_of(words, accepted);
    while words.next_if_eq(&"OR").is_some() {
        met |= all_of(words, accepted);
    }
    met
}

fn all_of(words: &mut Peekable<SplitWhitespace<'_>>, accepted: &dyn Fn(&str) -> bool) -> bool {
    let mut met = one_of(words, accepted);
    while words.next_if_eq(&"AND").is_some() {
        met &= one_of(words, accepted);
    }
    met
}

fn one_of(words: &mut Peekable<SplitWhitespace<'_>>, accepted: &dyn Fn(&str) -> bool) -> bool {
    match words.next() {
        Some("(") => {
            let met = any_of(words, accepted);
            words.next();
            met
        }
        // A licence with an exception is another licence, known by both names.
        Some(licence) => match words.next_if_eq(&"WITH").and_then(|_| words.next()) {
            Some(exception) => accepted(&format!("{licence} WITH {exception}")),
            None => accepted(licence),
        },
        None => false,
    }
}
