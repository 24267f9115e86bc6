//! Which profiles a command reads files by: one that is named, or all of a folder.

use super::Context;
use crate::banking::{Profile, Profiles};
use crate::config;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// The options that choose profiles.
#[derive(Debug, Default, clap::Args)]
pub struct ProfileArgs {
    /// A profile (TOML) that CSV files, or BAI2 files with a bank's own types, are read by
    #[arg(long, value_name = "FILE", conflicts_with = "profiles")]
    profile: Option<PathBuf>,
    /// A folder of profiles: each file is read by the one whose header it has [default: the configuration's]
    #[arg(long, value_name = "DIR")]
    profiles: Option<PathBuf>,
}

impl ProfileArgs {
    /// Reads and checks the profiles that are asked for, else the configured ones, else none.
    pub fn read(&self, context: &Context) -> Result<Profiles> {
        if let Some(file) = &self.profile {
            return profile(file).map(Profiles::named);
        }
        let folder = match &self.profiles {
            Some(folder) => Some(folder.clone()),
            None => {
                let configured = config::load(context.config.as_deref())?.statements.profiles;
                Some(configured).filter(|folder| !folder.is_empty()).map(PathBuf::from)
            }
        };
        folder.map_or_else(|| Ok(Profiles::default()), |folder| folder_of(&folder))
    }
}

/// Reads and checks all profiles of a folder.
pub fn folder_of(folder: &Path) -> Result<Profiles> {
    let failed =
        |e: std::io::Error| Error::NotFound(format!("cannot read the folder of profiles {}: {e}", folder.display()));
    let entries = std::fs::read_dir(folder).map_err(failed)?.map(|e| e.map(|e| e.path()));
    let mut files = entries.collect::<std::io::Result<Vec<_>>>().map_err(failed)?;
    files.retain(|path| path.extension().is_some_and(|e| e == "toml"));
    files.sort();
    let profiles = files.iter().map(|file| profile(file)).collect::<Result<Vec<_>>>()?;
    let mut names: Vec<&str> = profiles.iter().map(Profile::name).collect();
    names.sort_unstable();
    if let Some([twice, _]) = names.windows(2).find(|pair| matches!(pair, [a, b] if a == b)) {
        return Err(unusable(folder, &format!("two profiles are called {twice}")));
    }
    Ok(Profiles::declared(profiles))
}

fn profile(path: &Path) -> Result<Profile> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Error::NotFound(format!("cannot read the profile {}: {e}", path.display())))?;
    Profile::parse(&text).map_err(|problem| unusable(path, &problem))
}

fn unusable(path: &Path, problem: &str) -> Error {
    Error::Refused { code: "unusable_profile", message: format!("{}: {}", path.display(), problem.trim_end()) }
}
