//! The README's five minutes and the example of docs/folders.md, replayed word for word: their files are written, their
//! commands run, and what they print is what the page shows. `UPDATE=1` writes what they print into the page.

use std::path::Path;
use std::process::Command;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
const FOLDERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/folders.md");

/// Ids are new in each run; of the same length, so that tables keep their columns.
fn without_ids(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = ["ln_", "st_", "file_"].iter().filter_map(|p| rest.find(p).map(|i| i + p.len())).min() {
        out.push_str(&rest[..at]);
        let id = rest[at..].chars().take_while(char::is_ascii_alphanumeric).count();
        out.push_str(&if id == 26 { "x".repeat(id) } else { rest[at..at + id].to_owned() });
        rest = &rest[at + id..];
    }
    out.push_str(rest);
    without_today(out)
}

/// Folders are called after the day, and a list says when a file was changed.
fn without_today(mut text: String) -> String {
    let today = tributary::time::day_of(tributary::time::Clock::now(&tributary::time::SystemClock)).to_string();
    while let Some(at) = text.find(&format!("{today} ")) {
        text.replace_range(at..at + "2026-03-02 18:00:00".len(), "2026-03-02 18:00:00");
        if today == "2026-03-02" {
            break;
        }
    }
    text.replace(&today, "2026-03-02")
}

fn run(folder: &Path, command: &str, line: &str) -> String {
    let words: Vec<String> =
        split(command).into_iter().map(|w| if w == "LINE" { line.to_owned() } else { w }).collect();
    let done = Command::new(env!("CARGO_BIN_EXE_tributary"))
        .args(&words[1..])
        .current_dir(folder)
        .env_remove("COLUMNS")
        .output();
    let done = done.expect("the binary runs");
    format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr))
}

/// Words of a command line, with double quotes.
fn split(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in command.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().expect("a word").push(c),
        }
    }
    words
}

fn trimmed(text: &str) -> String {
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// A page as it is, and as the commands say that it should be.
fn replay(page: &str) -> (String, String) {
    let readme = std::fs::read_to_string(page).expect("the page");
    let folder = tempfile::tempdir().expect("a folder");
    let (before, tour) = readme.split_once("<!-- tour -->").expect("a tour");
    let (tour, after) = tour.split_once("<!-- end of tour -->").expect("its end");
    let mut out = String::from(before) + "<!-- tour -->";
    let (mut rest, mut line) = (tour, String::new());
    while let Some((text, block)) = rest.split_once("```") {
        let (block, more) = block.split_once("```").expect("a closed block");
        let (head, body) = block.split_once('\n').expect("a block of lines");
        out.push_str(text);
        out.push_str("```");
        match head.split_once(' ') {
            Some((_, name)) => {
                let path = folder.path().join(name);
                std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder of the tour");
                std::fs::write(path, body).expect("a file of the tour");
                out.push_str(block);
            }
            None => {
                assert_eq!(head, "console", "a block of the tour is a file with a name, or a console");
                out.push_str("console\n");
                for command in body.lines().filter_map(|l| l.strip_prefix("$ ")) {
                    let printed = run(folder.path(), command, &line);
                    if let Some(at) = printed.find("ln_") {
                        line = printed[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                    }
                    out.push_str(&format!("$ {command}\n{}\n", trimmed(&without_ids(&printed))));
                }
            }
        }
        out.push_str("```");
        rest = more;
    }
    (readme.clone(), out + rest + "<!-- end of tour -->" + after)
}

#[test]
fn the_readmes_five_minutes_print_what_the_readme_shows() {
    compare(README);
}

#[test]
fn the_example_of_folders_prints_what_the_page_shows() {
    compare(FOLDERS);
}

fn compare(page: &str) {
    let (shown, replayed) = replay(page);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(page, &replayed).expect("the page is written");
        return;
    }
    for (shown, printed) in shown.lines().zip(replayed.lines()) {
        assert_eq!(shown, printed, "{page} shows something else than what is printed (UPDATE=1 rewrites it)");
    }
    assert_eq!(shown.lines().count(), replayed.lines().count(), "{page} is shorter or longer than what is printed");
}
