//! How texts compare, and how many are sought in one pass.

use aho_corasick::{AhoCorasick, MatchKind};

/// The letters and digits of a text in lower case: what is left when case, blanks and punctuation are ignored.
pub(in crate::allocation) fn normalise(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            kept.push(c.to_ascii_lowercase());
        } else if !c.is_ascii() && c.is_alphanumeric() {
            // Lower case may bring a combining mark, which is no letter and is ignored wherever else it stands.
            kept.extend(c.to_lowercase().filter(|l| l.is_alphanumeric()));
        }
    }
    kept
}

/// How a sought text must stand in the line's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Anywhere,
    Start,
    Whole,
}

impl Place {
    fn allows(self, start: usize, end: usize, len: usize) -> bool {
        match self {
            Place::Anywhere => true,
            Place::Start => start == 0,
            Place::Whole => start == 0 && end == len,
        }
    }

    /// The naive definition, for one pair of normalised texts.
    pub(super) fn holds(self, text: &str, pattern: &str) -> bool {
        match self {
            Place::Anywhere => text.contains(pattern),
            Place::Start => text.starts_with(pattern),
            Place::Whole => text == pattern,
        }
    }
}

/// Texts that rules seek in one kind of text, numbered in the order in which they were first asked for.
#[derive(Debug, Default)]
pub(super) struct Needles {
    patterns: Vec<(String, Place)>,
    automaton: Option<AhoCorasick>,
}

impl Needles {
    /// The number of a normalised text, which is new or one that another rule seeks too.
    pub(super) fn add(&mut self, pattern: &str, place: Place) -> u32 {
        let known = self.patterns.iter().position(|(p, at)| p == pattern && *at == place);
        let index = known.unwrap_or_else(|| {
            self.patterns.push((pattern.to_owned(), place));
            self.patterns.len() - 1
        });
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    /// After the last [`Needles::add`]. Fails when the texts are too many for the automaton.
    pub(super) fn build(&mut self) -> Result<(), String> {
        if !self.patterns.is_empty() {
            let texts = self.patterns.iter().map(|(p, _)| p);
            // Overlapping search, which finds every one of them, wants the standard kind.
            let built = AhoCorasick::builder().match_kind(MatchKind::Standard).build(texts);
            self.automaton = Some(built.map_err(|e| e.to_string())?);
        }
        Ok(())
    }

    /// Which of them stand where they should in one of `texts`.
    pub(super) fn seek<'t>(&self, texts: impl IntoIterator<Item = &'t str>) -> Sought {
        let mut found = Sought::none(self.patterns.len());
        let Some(automaton) = &self.automaton else { return found };
        for text in texts {
            let text = normalise(text);
            for hit in automaton.find_overlapping_iter(&text) {
                let id = hit.pattern().as_usize();
                if self.patterns.get(id).is_some_and(|(_, place)| place.allows(hit.start(), hit.end(), text.len())) {
                    found.set(id);
                }
            }
        }
        found
    }
}

/// A set of numbers of patterns that were found.
#[derive(Debug)]
pub(super) struct Sought(Vec<u64>);

impl Sought {
    fn none(of: usize) -> Self {
        Sought(vec![0; of.div_ceil(64)])
    }

    fn set(&mut self, id: usize) {
        if let Some(word) = self.0.get_mut(id / 64) {
            *word |= 1 << (id % 64);
        }
    }

    /// Whether it was found.
    pub(super) fn has(&self, id: u32) -> bool {
        let word = usize::try_from(id / 64).ok().and_then(|i| self.0.get(i));
        word.is_some_and(|w| w >> (id % 64) & 1 == 1)
    }
}

/// A pattern over the parts of a bank transaction code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CodePattern(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// `*`: one part or more.
    Any,
    /// `RC*`.
    Starts(String),
    /// `RCDT`.
    Is(String),
}

impl Part {
    fn fits(&self, text: &str) -> bool {
        match self {
            Part::Any => true,
            Part::Is(part) => part.eq_ignore_ascii_case(text),
            Part::Starts(start) => {
                text.as_bytes().get(..start.len()).is_some_and(|s| s.eq_ignore_ascii_case(start.as_bytes()))
            }
        }
    }
}

impl CodePattern {
    /// Reads `PMNT/RC*/*`; says what is wrong otherwise.
    pub(super) fn parse(text: &str) -> Result<CodePattern, &'static str> {
        let mut parts = Vec::new();
        for part in text.trim().split('/') {
            let start = part.strip_suffix('*');
            if part.is_empty() {
                return Err("has an empty part: write parts with one / between them, such as PMNT/RCDT/*");
            }
            if start.unwrap_or(part).contains('*') {
                return Err("has a * inside a part: write it at the end of a part, such as PMNT/RC*/*");
            }
            parts.push(match start {
                None => Part::Is(part.to_owned()),
                Some("") => Part::Any,
                Some(start) => Part::Starts(start.to_owned()),
            });
        }
        Ok(CodePattern(parts))
    }

    /// Whether a code fits. Each `*` takes as little as it can and more when the rest does not fit, never going back
    /// behind the last `*`, so that no pattern is slow.
    pub(super) fn fits(&self, code: &[&str]) -> bool {
        let (mut at, mut next) = (0, 0);
        let mut last_any: Option<(usize, usize)> = None;
        while let Some(text) = code.get(next) {
            match self.0.get(at) {
                Some(Part::Any) => {
                    last_any = Some((at, next));
                    (at, next) = (at + 1, next + 1);
                }
                Some(part) if part.fits(text) => (at, next) = (at + 1, next + 1),
                _ => {
                    let Some((any, taken)) = last_any else { return false };
                    last_any = Some((any, taken + 1));
                    (at, next) = (any + 1, taken + 2);
                }
            }
        }
        at == self.0.len()
    }
}

/// Which patterns a line's code fits.
pub(super) fn found_in(patterns: &[CodePattern], code: Option<&str>) -> Sought {
    let mut found = Sought::none(patterns.len());
    if let Some(code) = code {
        let parts: Vec<&str> = code.split('/').collect();
        for (id, _) in patterns.iter().enumerate().filter(|(_, p)| p.fits(&parts)) {
            found.set(id);
        }
    }
    found
}
