//! Changes of the rules: what a file asks for, the versions that it makes, and the set that is in force then.

use super::Refusal;
use super::rules::{Rule, RuleFile, RuleSet};
use super::store;
use crate::db::{Conn, Tx};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// A file of rules, apart from the treasury file: `[[rule]]` tables as there, and codes to retire.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RulesFile {
    /// `[[rule]]`
    pub rule: Vec<RuleFile>,
    /// Codes of rules that are no longer tried.
    pub retire: Vec<String>,
}

impl RulesFile {
    /// Reads the file's form; what it says is judged by [`plan`].
    pub fn parse(text: &str) -> Result<RulesFile> {
        let unreadable = |e: toml::de::Error| Refusal::BadRules {
            problems: format!("the file is no TOML with [[rule]] tables: {}", e.to_string().trim_end()),
        };
        let file: RulesFile = toml::from_str(text).map_err(unreadable)?;
        if file.rule.is_empty() && file.retire.is_empty() {
            let problems = "the file has neither a [[rule]] table nor codes to retire = [\"code\"], so there is nothing to try or \
                 to put in force"
                .to_owned();
            return Err(Refusal::BadRules { problems }.into());
        }
        Ok(file)
    }
}

/// A version of a rule about to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The rule.
    pub code: String,
    /// Its version.
    pub version: i64,
    /// Where it stands among the others.
    pub priority: i64,
    /// `active` or `retired`.
    pub state: &'static str,
    /// As JSON.
    pub definition: String,
    /// The definition before.
    pub before: Option<String>,
}

/// What a change of the rules comes to.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The new versions, in the order of the file, then those retired.
    pub versions: Vec<Version>,
    rules: Vec<Rule>,
}

impl Planned {
    /// The rules that are in force then.
    pub fn set(&self) -> Result<RuleSet> {
        RuleSet::compile(self.rules.clone()).map_err(|problems| {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Refusal::BadRules { problems: problems.join("; ") }.into()
        })
    }
}

/// Judges a change: a rule that is as it was keeps its version, and one that the file does not name stays in force.
pub fn plan(conn: &mut Conn, file: &RulesFile) -> Result<Planned> {
    let newest = store::newest_rules(conn)?;
    let mut planned = Planned { versions: Vec::new(), rules: Vec::new() };
    for file in &file.rule {
        let before = newest.iter().find(|r| r.code == file.code);
        let definition = serde_json::to_string(file).map_err(|e| Error::Broken(e.to_string()))?;
        let same = before.is_some_and(|b| b.definition == definition && b.state == "active");
        let version = before.map_or(1, |b| if same { b.version } else { b.version + 1 });
        if !same {
            planned.versions.push(Version {
                code: file.code.clone(),
                version,
                priority: file.priority,
                state: "active",
                definition,
                before: before.map(|b| b.definition.clone()),
            });
        }
        planned.rules.push(Rule::new(file.clone(), version));
    }
    for code in &file.retire {
        if file.rule.iter().any(|r| r.code == *code) {
            let problems = format!("rule {code} is to be retired and stands in the file too: leave one of them out");
            return Err(Refusal::BadRules { problems }.into());
        }
        let Some(before) = newest.iter().find(|r| r.code == *code) else {
            return Err(Refusal::UnknownRule { code: code.clone() }.into());
        };
        if before.state == "active" && !planned.versions.iter().any(|v| v.code == *code) {
            planned.versions.push(Version {
                code: code.clone(),
                version: before.version + 1,
                priority: before.priority,
                state: "retired",
                definition: before.definition.clone(),
                before: Some(before.definition.clone()),
            });
        }
    }
    let named = |code: &str| file.rule.iter().any(|r| r.code == code) || file.retire.iter().any(|r| r == code);
    for kept in newest.iter().filter(|r| r.state == "active" && !named(&r.code)) {
        planned.rules.push(store::rule_of(kept)?);
    }
    planned.set()?;
    Ok(planned)
}

/// Stores the versions of a change that was judged in the same commit.
pub(super) fn put_in_force(tx: &mut Tx<'_>, planned: &Planned) -> Result<()> {
    for version in &planned.versions {
        store::insert_rule(tx, version)?;
        // A rule may name a person and an account: the event, which is sealed, has only a digest of it.
        let digest = |text: &str| crate::db::seal::hex(&crate::db::seal::sha256(text.as_bytes()));
        let before = version.before.as_ref().map(|b| serde_json::json!({ "sha256": digest(b) }).to_string());
        let after = match version.state {
            "active" => serde_json::json!({ "sha256": digest(&version.definition) }),
            state => serde_json::json!({ "sha256": digest(&version.definition), "state": state }),
        };
        tx.event("rule.version", &format!("{} v{}", version.code, version.version), before, Some(after.to_string()));
    }
    Ok(())
}

/// Puts a change in force, all of it or nothing, for lines that come from now on. Gives the versions that it made.
pub fn apply(tx: &mut Tx<'_>, file: &RulesFile) -> Result<Vec<Version>> {
    let planned = plan(tx.conn(), file)?;
    put_in_force(tx, &planned)?;
    Ok(planned.versions)
}

#[cfg(test)]
mod tests {
    use super::RulesFile;

    #[test]
    fn a_file_that_changes_no_rule_is_refused() {
        for empty in ["", "\n# nothing yet\n", "rule = []", "retire = []"] {
            let no = RulesFile::parse(empty).unwrap_err();
            assert_eq!(no.code(), "bad_rules", "{empty:?}");
            assert!(no.to_string().contains("nothing to try"), "{no}");
        }
        assert!(RulesFile::parse("retire = [\"shop\"]").is_ok());
    }
}
