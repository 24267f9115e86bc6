//! Bank files of every format, our own and those of the corpus, each with a treasury that knows the accounts in it.

use crate::formats::{declared_profiles, files_below, folder};
use crate::given::alice;
use crate::text_formats::corpus_profiles;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read};
use std::path::Path;
use tributary::allocation::intake::{self, Arrival, TakenIn};
use tributary::app;
use tributary::banking::Profiles;
use tributary::banking::inspect::{Inspection, inspect_with};
use tributary::chart::numbers::{looks_like_iban, normalise, verify};
use tributary::db::Db;
use tributary::error::Result;

/// A bank file and how it is read.
pub struct Fixture {
    /// Its place below its folder.
    pub name: String,
    /// As it came.
    pub bytes: Vec<u8>,
    /// What reads it when it is a CSV.
    pub corpus: bool,
}

impl Fixture {
    /// One of ours: `mt940/nordbank/gvc.sta`.
    pub fn golden(name: &str) -> Fixture {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        let bytes = fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        Fixture { name: name.to_owned(), bytes, corpus: false }
    }

    /// All of ours, and those of the corpus where it is there.
    pub fn all() -> Vec<Fixture> {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let mut all = below(&ours, false);
        all.extend(folder("TRIBUTARY_CORPUS").map(|corpus| below(&corpus, true)).unwrap_or_default());
        all
    }

    pub fn profiles(&self) -> Profiles {
        if self.corpus { Profiles::declared(corpus_profiles()) } else { declared_profiles() }
    }

    /// What it says.
    pub fn inspected(&self) -> Inspection {
        inspect_with(&self.bytes[..], &self.profiles())
    }

    /// Takes in these bytes, read as this file is.
    pub fn take_in(&self, db: &Db, bytes: &[u8]) -> Result<TakenIn> {
        let open = || Ok(Box::new(Cursor::new(bytes.to_vec())) as Box<dyn Read>);
        let arrival = Arrival { name: &self.name, channel: "test", profiles: &self.profiles() };
        intake::take_in_by(db, &alice(), &arrival, &open, &mut |_, _| {})
    }
}

fn below(root: &Path, corpus: bool) -> Vec<Fixture> {
    let data = |f: &Path| f.extension().is_some_and(|e| ["json", "yml", "pydata", "md"].iter().any(|x| e == *x));
    let files = files_below(root).into_iter().filter(|f| !data(f) && !f.ends_with("expectations/states.txt"));
    let name = |f: &Path| f.strip_prefix(root).map_or_else(|_| String::new(), |f| f.display().to_string());
    files.map(|f| Fixture { name: name(&f), bytes: fs::read(&f).expect("a file"), corpus }).collect()
}

/// Makes a treasury with a master for each account that these files tell of, as far as it can be one, from before their first
/// day and with the first opening balance that is told.
pub fn treasury_of(db: &Db, fixtures: &[&Fixture]) {
    let mut masters: BTreeMap<(String, &'static str), (Option<String>, String)> = BTreeMap::new();
    for fixture in fixtures {
        for s in fixture.inspected().statements {
            let (Some(account), Some(currency)) = (s.account.as_deref().map(normalise), s.currency) else { continue };
            let plain = account.bytes().all(|b| b.is_ascii_alphanumeric()) && (4..=34).contains(&account.len());
            if !plain || (looks_like_iban(&account) && !verify(&account)) {
                continue;
            }
            let days = s.lines.iter().filter_map(|l| l.booked_on).map(|d| d.to_string());
            let master = masters.entry((account, currency)).or_insert((None, "2026-01-01".to_owned()));
            master.0 = master.0.take().or(s.opening);
            master.1 = days.fold(std::mem::take(&mut master.1), std::cmp::Ord::min);
        }
    }
    let mut text = String::from(
        "[[entity]]\ncode = \"acme\"\nname = \"Acme GmbH\"\ncountry = \"DE\"\n\
         [[bank]]\ncode = \"bank\"\nname = \"Bank\"\nbic = \"DEUTDEFF\"\ncountry = \"DE\"\n\
         [[market]]\ncode = \"DE\"\nname = \"Germany\"\n[[product]]\ncode = \"tiktok\"\nname = \"TikTok\"\n",
    );
    for (((account, currency), (opening, first)), n) in masters.into_iter().zip(0..) {
        text += &format!(
            "[[master]]\ncode = \"m{n:03}\"\nname = \"Master {n}\"\nbank = \"bank\"\nentity = \"acme\"\ncurrency = \"{currency}\"\n\
             account = \"{account}\"\ntime_zone = \"Europe/Berlin\"\ncut_over_on = \"{first}\"\nopening = \"{}\"\n\
             numbers = {{ scheme = \"digits\", prefix = \"70{n:04}\" }}\n\
             [[sub_account]]\nmaster = \"m{n:03}\"\nproduct = \"tiktok\"\nmarket = \"DE\"\n",
            opening.unwrap_or_else(|| "0".to_owned()),
        );
    }
    let file = app::TreasuryFile::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    app::apply(db, &alice(), file).unwrap_or_else(|e| panic!("{e}\n{text}"));
}
