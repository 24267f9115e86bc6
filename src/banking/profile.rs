//! Declared profiles: what a file does not say of itself, from one TOML file per bank.
//!
//! Nothing is guessed from the content: a CSV file is read by the profile whose header it has, or by the one that is named.
//! A file that is stored is read again later, so the text of the profile in force belongs with it: see [`Profile::text`].

use super::source::first_text;
use super::{Format, bai2, csv};
use std::sync::Arc;

/// A profile and the text that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    text: Arc<str>,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Csv(Arc<csv::Profile>),
    Bai2(Arc<bai2::Profile>),
}

impl Profile {
    /// Reads and checks a profile. What is wrong is told with the key that is to be mended.
    pub fn parse(text: &str) -> Result<Profile, String> {
        let table: toml::Table = toml::from_str(text).map_err(|e| e.to_string())?;
        let kind = match table.get("format").and_then(toml::Value::as_str) {
            Some("csv") => Kind::Csv(Arc::new(csv::Profile::parse(text)?)),
            Some("bai2") => Kind::Bai2(Arc::new(bai2::Profile::parse(text)?)),
            _ => return Err("format: say format = \"csv\" or format = \"bai2\"".to_owned()),
        };
        Ok(Profile { text: text.into(), kind })
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        match &self.kind {
            Kind::Csv(profile) => &profile.name,
            Kind::Bai2(profile) => &profile.name,
        }
    }

    /// The TOML text, which [`Profile::parse`] reads again.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The format of the files that it is for.
    pub fn format(&self) -> Format {
        match &self.kind {
            Kind::Csv(_) => Format::Csv,
            Kind::Bai2(_) => Format::Bai2,
        }
    }

    pub(super) fn csv(&self) -> Option<Arc<csv::Profile>> {
        if let Kind::Csv(profile) = &self.kind { Some(Arc::clone(profile)) } else { None }
    }

    pub(super) fn bai2(&self) -> Option<&bai2::Profile> {
        if let Kind::Bai2(profile) = &self.kind { Some(profile) } else { None }
    }
}

/// The profiles that are declared, and the one that is named for a file.
#[derive(Debug, Clone, Default)]
pub struct Profiles {
    declared: Vec<Profile>,
    named: Option<Profile>,
}

impl Profiles {
    /// Each file is read by the one that it fits.
    pub fn declared(profiles: Vec<Profile>) -> Profiles {
        Profiles { declared: profiles, named: None }
    }

    /// Each file of the profile's format is read by this one, whatever it looks like.
    pub fn named(profile: Profile) -> Profiles {
        Profiles { declared: Vec::new(), named: Some(profile) }
    }

    /// Those that are declared.
    pub fn all(&self) -> &[Profile] {
        &self.declared
    }

    /// The declared one of this name.
    pub fn by_name(&self, name: &str) -> Option<&Profile> {
        self.declared.iter().find(|p| p.name() == name)
    }

    /// The format of a file by its first bytes, CSV by a declared header included; as [`super::detect`] otherwise.
    pub fn detect(&self, first_bytes: &[u8]) -> Option<Format> {
        super::detect(first_bytes).or_else(|| matches!(self.of_csv(first_bytes), Ok(Some(_))).then_some(Format::Csv))
    }

    /// The profile of a CSV file that begins so; more than one that fits is an error.
    pub(super) fn of_csv(&self, head: &[u8]) -> Result<Option<Profile>, String> {
        if let Some(named) = self.named.as_ref().filter(|p| p.format() == Format::Csv) {
            return Ok(Some(named.clone()));
        }
        let fits = |p: &&Profile| p.csv().is_some_and(|csv| csv::fits(&csv, head));
        let fitting: Vec<&Profile> = self.declared.iter().filter(fits).collect();
        Self::only(&fitting, "have this header")
    }

    /// The profile of a BAI2 file that begins so, if there is one.
    pub(super) fn of_bai2(&self, head: &[u8]) -> Result<Option<Profile>, String> {
        if let Some(named) = self.named.as_ref().filter(|p| p.format() == Format::Bai2) {
            return Ok(Some(named.clone()));
        }
        let text = first_text(head);
        let fits = |p: &&Profile| p.bai2().is_some_and(|bai2| bai2.fits(text.trim_start()));
        let fitting: Vec<&Profile> = self.declared.iter().filter(fits).collect();
        Self::only(&fitting, "are for this bank")
    }

    fn only(fitting: &[&Profile], why: &str) -> Result<Option<Profile>, String> {
        match fitting {
            [] => Ok(None),
            [one] => Ok(Some((*one).clone())),
            several => {
                let names: Vec<&str> = several.iter().map(|p| p.name()).collect();
                Err(format!("the profiles {} {why}: name the one that is meant with --profile", names.join(" and ")))
            }
        }
    }
}
