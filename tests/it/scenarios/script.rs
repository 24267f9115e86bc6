//! The language of stories: a line is a step, `verb [NAME] key=value key="quoted value" flag -> result`.
//!
//! A result of several lines stands below its step, each line after `->`; the lines of a statement stand below it too.
//! Pure. What is rewritten is only what stands behind `->`, and the values that a `position` asserts.

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done, with what there is to say about it.
    Done(Vec<String>),
    /// Not done: the refusal's code, which is the result, and its sentence, which a failure shows.
    Refused(String, String),
    /// Values, asserted by the keys of the step itself.
    Values(Vec<(&'static str, String)>),
}

impl Outcome {
    /// Done, in one line.
    pub fn said(text: impl Into<String>) -> Outcome {
        Outcome::Done(vec![text.into()])
    }

    fn lines(&self) -> Vec<String> {
        match self {
            Outcome::Done(lines) => lines.clone(),
            Outcome::Refused(code, _) => vec![format!("refused {code}")],
            Outcome::Values(values) => {
                vec![values.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")]
            }
        }
    }
}

/// The words of a line.
#[derive(Debug, Clone, Default)]
pub struct Words {
    /// `verb`, or the amount of a statement's line.
    pub first: String,
    /// Words without `=`.
    pub bare: Vec<String>,
    /// `key=value`, in order.
    pub pairs: Vec<(String, String)>,
}

impl Words {
    /// A value, if the key is there.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// A value that must be there.
    pub fn need(&self, key: &str) -> Result<&str, String> {
        self.get(key).ok_or_else(|| format!("{} needs {key}=", self.first))
    }

    /// Whether a word stands there by itself.
    pub fn has(&self, flag: &str) -> bool {
        self.bare.iter().any(|b| b == flag)
    }

    /// A word that nobody asked for is a slip of the pen, and would pass unseen.
    pub fn only(&self, keys: &[&str], bare: &[&str]) -> Result<(), String> {
        let known = |key: &str| keys.contains(&key);
        if let Some((key, _)) = self.pairs.iter().find(|(k, _)| !known(k)) {
            return Err(format!("{} does not know {key}=; it knows {}", self.first, keys.join(", ")));
        }
        match self.bare.iter().find(|b| !bare.contains(&b.as_str())) {
            Some(word) => Err(format!("{} does not know the word {word}; it knows {}", self.first, bare.join(", "))),
            None => Ok(()),
        }
    }
}

/// A step.
#[derive(Debug, Clone)]
pub struct Step {
    /// From 1.
    pub line: usize,
    /// Verb, name, keys.
    pub words: Words,
    /// The lines of a statement.
    pub body: Vec<Words>,
    /// What stands after `->`; `None`: it only must not be refused.
    expected: Option<Vec<String>>,
    /// Lines from its first to its last.
    last: usize,
}

impl Step {
    /// The name that the story gives to what the step makes or asks about.
    pub fn name(&self) -> Option<&str> {
        self.words.bare.first().map(String::as_str)
    }

    /// A name that must be there.
    pub fn need_name(&self) -> Result<&str, String> {
        self.name().ok_or_else(|| format!("{} needs a name", self.words.first))
    }

    /// Whether what came is what the story says.
    pub fn holds(&self, outcome: &Outcome) -> Result<(), String> {
        let came = outcome.lines();
        if let (Outcome::Values(values), None) = (outcome, &self.expected) {
            let differs =
                |(key, value): &&(&'static str, String)| self.words.get(key).is_some_and(|said| said != value);
            let other: Vec<String> = values.iter().filter(differs).map(|(k, v)| format!("{k}={v}")).collect();
            let said: Vec<String> = values
                .iter()
                .filter(differs)
                .filter_map(|(k, _)| Some(format!("{k}={}", self.words.get(k)?)))
                .collect();
            return if other.is_empty() { Ok(()) } else { Err(unlike(&said, &other)) };
        }
        match (&self.expected, outcome) {
            (None, Outcome::Refused(_, why)) => Err(format!("refused: {why}")),
            (Some(expected), Outcome::Refused(_, why)) if *expected != came => {
                Err(format!("{}\n  because: {why}", unlike(expected, &came)))
            }
            (Some(expected), _) if *expected != came => Err(unlike(expected, &came)),
            _ => Ok(()),
        }
    }
}

fn unlike(expected: &[String], came: &[String]) -> String {
    format!("\n  expected: {}\n  came:     {}", expected.join("\n            "), came.join("\n            "))
}

/// A story.
#[derive(Debug, Clone)]
pub struct Script {
    /// In order.
    pub steps: Vec<Step>,
    lines: Vec<String>,
}

impl Script {
    /// Reads a story; the error says at which line.
    pub fn parse(text: &str) -> Result<Script, (usize, String)> {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut steps: Vec<Step> = Vec::new();
        for (line, written) in (1..).zip(&lines) {
            let trimmed = written.trim();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                continue;
            }
            let (said, result) = halves(written);
            if written.starts_with(' ') {
                let step = steps.last_mut().ok_or((line, "an indented line needs a step above it".to_owned()))?;
                step.last = line;
                match result {
                    Some(result) if said.trim().is_empty() => step.expected.get_or_insert_default().push(result),
                    Some(_) => return Err((line, "a line of a statement has no result of its own".to_owned())),
                    None => step.body.push(words(said).map_err(|problem| (line, problem))?),
                }
                continue;
            }
            let words = words(said).map_err(|problem| (line, problem))?;
            steps.push(Step { line, words, body: Vec::new(), expected: result.map(|r| vec![r]), last: line });
        }
        Ok(Script { steps, lines })
    }

    /// The text with these results in the places of those that it had.
    pub fn update(&mut self, outcomes: &[Outcome]) -> Result<String, (usize, String)> {
        for (step, outcome) in self.steps.iter().zip(outcomes).rev() {
            let at = step.line - 1;
            let (said, _) = halves(&self.lines[at]);
            if step.expected.is_none() {
                if let Outcome::Values(values) = outcome {
                    self.lines[at] = asserted(said, values);
                } else if let Outcome::Refused(_, why) = outcome {
                    return Err((step.line, format!("write -> where a refusal is meant: {why}")));
                }
                continue;
            }
            let came = outcome.lines();
            let said = said.trim_end().to_owned();
            // What stood between the words and `->` keeps its width, so that columns stay.
            let column = halves(&self.lines[at]).0.len().max(said.len() + 1);
            let kept: Vec<String> = self.lines[at + 1..step.last].to_vec();
            let kept = kept.into_iter().filter(|l| !l.trim_start().starts_with("->"));
            let mut new = Vec::new();
            match came.as_slice() {
                [only] => {
                    new.push(format!("{said:<column$}-> {only}"));
                    new.extend(kept);
                }
                several => {
                    new.push(said);
                    new.extend(kept);
                    new.extend(several.iter().map(|line| format!("  -> {line}")));
                }
            }
            self.lines.splice(at..step.last, new);
        }
        Ok(self.lines.iter().map(|line| format!("{line}\n")).collect())
    }
}

/// The step with these values in the places of those that it asserts.
fn asserted(said: &str, values: &[(&'static str, String)]) -> String {
    let mut text = said.to_owned();
    for (key, value) in values {
        let Some(at) = text.find(&format!(" {key}=")) else { continue };
        let begin = at + key.len() + 2;
        let end = text[begin..].find(' ').map_or(text.len(), |length| begin + length);
        text.replace_range(begin..end, value);
    }
    text
}

/// What stands before `->` and what stands behind it.
fn halves(line: &str) -> (&str, Option<String>) {
    let mut quoted = false;
    for (at, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '-' if !quoted && line[at..].starts_with("->") => {
                return (&line[..at], Some(line[at + 2..].trim().to_owned()));
            }
            _ => {}
        }
    }
    (line, None)
}

fn words(text: &str) -> Result<Words, String> {
    let mut words = Words::default();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = rest.find([' ', '"']).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        let (word, tail) = match tail.strip_prefix('"') {
            None => (word.to_owned(), tail),
            Some(quoted) => {
                let (value, tail) = quoted.split_once('"').ok_or("a quote is not closed")?;
                (format!("{word}{value}"), tail)
            }
        };
        match word.split_once('=') {
            Some((key, value)) => words.pairs.push((key.to_owned(), value.to_owned())),
            None if words.first.is_empty() => words.first = word,
            None => words.bare.push(word),
        }
        rest = tail.trim_start();
    }
    Ok(words)
}
