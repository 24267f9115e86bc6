//! What somebody may see and touch: a type that every read and write is given.
//!
//! A [`Scope`] is a set of parts; it covers a [`Target`] when one part does, and a part does when each of its bounds holds.
//! A part without bounds is the whole treasury; a scope without parts is nothing. What many read (positions, the
//! chart, events, proposals) comes as [`Guarded`], whose inside cannot be reached without a scope: forgetting it does not compile. What is foreign and what is not there give one
//! answer, made in one place ([`found`]), so that no caller can tell them apart.
//!
//! Pure: codes only, no database.

use crate::error::{Error, Result};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Where a thing stands in the treasury, by codes. What it has no place in is `None`, and a bound on that does not hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Target<'a> {
    /// The product whose it is.
    pub product: Option<&'a str>,
    /// The entity that owns it: of a leaf its owner, of a master the holder of the account.
    pub entity: Option<&'a str>,
    /// The master that it lies in.
    pub master: Option<&'a str>,
    /// Its path, which begins with the master: `de-eur/tiktok/de/operating`.
    pub path: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// A thing of the treasury as a whole, such as a rule or a role: only a scope without bounds covers it.
    pub fn treasury() -> Self {
        Target::default()
    }

    /// A product itself.
    pub fn product(code: &'a str) -> Self {
        Target { product: Some(code), ..Target::default() }
    }

    /// An entity itself.
    pub fn entity(code: &'a str) -> Self {
        Target { entity: Some(code), ..Target::default() }
    }

    /// A master, and what is of it as a whole: its statements, its suspense.
    pub fn master(code: &'a str, entity: &'a str) -> Self {
        Target { entity: Some(entity), master: Some(code), path: Some(code), ..Target::default() }
    }
}

/// Bounds that must all hold; none: the whole treasury.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Part {
    /// Only this product's.
    pub product: Option<String>,
    /// Only what this entity owns.
    pub entity: Option<String>,
    /// Only in this master.
    pub master: Option<String>,
    /// Only this path and what is below it.
    pub subtree: Option<String>,
}

/// Whether a path is this one or below it.
fn is_below(path: &str, top: &str) -> bool {
    path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Part {
    /// Whether it has no bounds.
    pub fn is_everything(&self) -> bool {
        *self == Part::default()
    }

    fn covers(&self, target: &Target<'_>) -> bool {
        let same = |bound: &Option<String>, is: Option<&str>| bound.is_none() || bound.as_deref() == is;
        same(&self.product, target.product)
            && same(&self.entity, target.entity)
            && same(&self.master, target.master)
            && self.subtree.as_deref().is_none_or(|top| target.path.is_some_and(|path| is_below(path, top)))
    }

    /// Whether the other one covers whatever this one does.
    fn is_within(&self, other: &Part) -> bool {
        let same = |own: &Option<String>, bound: &Option<String>| bound.is_none() || own == bound;
        let in_master = |master: &str| {
            self.master.as_deref() == Some(master) || self.subtree.as_deref().is_some_and(|s| is_below(s, master))
        };
        let in_subtree = |top: &str| {
            self.subtree.as_deref().is_some_and(|s| is_below(s, top)) || self.master.as_deref() == Some(top)
        };
        same(&self.product, &other.product)
            && same(&self.entity, &other.entity)
            && other.master.as_deref().is_none_or(in_master)
            && other.subtree.as_deref().is_none_or(in_subtree)
    }

    /// Kind and code of each bound.
    pub fn bounds(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("product", &self.product),
            ("entity", &self.entity),
            ("master", &self.master),
            ("subtree", &self.subtree),
        ];
        all.into_iter().filter_map(|(kind, code)| Some((kind, code.as_deref()?)))
    }
}

impl fmt::Display for Part {
    /// `all`, or the bounds: `product:tiktok+entity:bd-de`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bounds: Vec<String> = self.bounds().map(|(kind, code)| format!("{kind}:{code}")).collect();
        f.write_str(if bounds.is_empty() { "all".to_owned() } else { bounds.join("+") }.as_str())
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Part, String> {
        let wrong = |what: &str| {
            format!(
                "the scope \"{text}\" {what}; write all, or product:CODE, entity:CODE, master:CODE, subtree:PATH, joined by + where all must hold"
            )
        };
        let mut part = Part::default();
        if text == "all" {
            return Ok(part);
        }
        for bound in text.split('+') {
            let (kind, code) = bound.split_once(':').ok_or_else(|| wrong("has a bound without a colon"))?;
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
            if code.is_empty() || !code.chars().all(fits) || code.starts_with('/') || code.ends_with('/') {
                return Err(wrong(&format!("names a {kind} that cannot be a code")));
            }
            let place = match kind {
                "product" => &mut part.product,
                "entity" => &mut part.entity,
                "master" => &mut part.master,
                "subtree" => &mut part.subtree,
                _ => return Err(wrong(&format!("has a bound of the unknown kind {kind}"))),
            };
            if place.replace(code.to_owned()).is_some() {
                return Err(wrong(&format!("names two of the kind {kind}, which nothing can meet")));
            }
        }
        Ok(part)
    }
}

/// What somebody may see and touch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Scope(BTreeSet<Part>);

impl Scope {
    /// The whole treasury: the operator's.
    pub fn everything() -> Self {
        Scope::from(Part::default())
    }

    /// Nothing at all.
    pub fn nothing() -> Self {
        Scope::default()
    }

    /// Whether it has no bounds: a store need not filter.
    pub fn is_everything(&self) -> bool {
        self.0.iter().any(Part::is_everything)
    }

    /// Refuses unless it is the whole treasury: for what concerns all of it.
    pub fn need_everything(&self, what: &str) -> Result<()> {
        if self.is_everything() {
            return Ok(());
        }
        Err(Error::Forbidden(format!("{what} concerns the whole treasury, and your role holds in {self} only")))
    }

    /// Its parts, one of which must cover: what a store filters its rows by.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.0.iter()
    }

    /// Whether the thing is within.
    pub fn covers(&self, target: &Target<'_>) -> bool {
        self.0.iter().any(|part| part.covers(target))
    }

    /// Whether the other one covers whatever this one does.
    pub fn is_within(&self, other: &Scope) -> bool {
        self.0.iter().all(|part| other.0.iter().any(|o| part.is_within(o)))
    }

    /// Adds a part; parts within others say nothing new and go.
    pub fn add(&mut self, part: Part) {
        if self.0.iter().any(|p| part.is_within(p)) {
            return;
        }
        self.0.retain(|p| !p.is_within(&part));
        self.0.insert(part);
    }
}

impl From<Part> for Scope {
    fn from(part: Part) -> Self {
        Scope(BTreeSet::from([part]))
    }
}

impl FromIterator<Part> for Scope {
    fn from_iter<I: IntoIterator<Item = Part>>(parts: I) -> Self {
        let mut scope = Scope::nothing();
        parts.into_iter().for_each(|part| scope.add(part));
        scope
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(Part::to_string).collect();
        f.write_str(if parts.is_empty() { "nothing".to_owned() } else { parts.join(" or ") }.as_str())
    }
}

/// A thing that has a place in the treasury.
pub trait Placed {
    /// Where it stands.
    fn target(&self) -> Target<'_>;
}

impl<T: Placed> Placed for Arc<T> {
    fn target(&self) -> Target<'_> {
        self.as_ref().target()
    }
}

/// What a store has read and nobody has looked at yet: it opens for a scope that covers it, and for nothing else.
#[derive(Debug, Clone)]
pub struct Guarded<T>(T);

impl<T: Placed> Guarded<T> {
    /// Closes it.
    pub fn new(row: T) -> Self {
        Guarded(row)
    }

    /// The thing, where the scope covers it.
    pub fn seen_by(self, scope: &Scope) -> Option<T> {
        scope.covers(&self.0.target()).then_some(self.0)
    }
}

/// Those of a list that the scope covers, in the same order: nothing tells how many others there were.
pub fn seen<T: Placed>(rows: impl IntoIterator<Item = Guarded<T>>, scope: &Scope) -> Vec<T> {
    rows.into_iter().filter_map(|row| row.seen_by(scope)).collect()
}

/// The thing; `absent` says what a caller reads when it is not there, or not theirs to know of.
pub fn found<T: Placed>(row: Option<Guarded<T>>, scope: &Scope, absent: impl FnOnce() -> String) -> Result<T> {
    row.and_then(|row| row.seen_by(scope)).ok_or_else(|| Error::NotFound(absent()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
    use proptest::{collection, option};

    #[derive(Debug)]
    struct Leaf {
        product: Option<String>,
        entity: String,
        master: String,
        path: String,
    }

    impl Placed for Leaf {
        fn target(&self) -> Target<'_> {
            Target {
                product: self.product.as_deref(),
                entity: Some(&self.entity),
                master: Some(&self.master),
                path: Some(&self.path),
            }
        }
    }

    /// Few names, so that they meet; one begins like another, so that a prefix by letters would be found out.
    fn code(names: &'static [&'static str]) -> impl Strategy<Value = String> {
        (0..names.len()).prop_map(|i| names[i].to_owned())
    }

    fn master() -> impl Strategy<Value = String> {
        code(&["de", "de-eur", "jp"])
    }

    fn path_in(master: String) -> impl Strategy<Value = String> {
        collection::vec(code(&["tik", "tiktok", "x"]), 0..3)
            .prop_map(move |below| std::iter::once(master.clone()).chain(below).collect::<Vec<_>>().join("/"))
    }

    fn leaf() -> impl Strategy<Value = Leaf> {
        let in_master = master().prop_flat_map(|m| (Just(m.clone()), path_in(m)));
        (option::of(code(&["tik", "tiktok"])), code(&["a", "b"]), in_master)
            .prop_map(|(product, entity, (master, path))| Leaf { product, entity, master, path })
    }

    fn part() -> impl Strategy<Value = Part> {
        let subtree = master().prop_flat_map(path_in);
        (option::of(code(&["tik", "tiktok"])), option::of(code(&["a", "b"])), option::of(master()), option::of(subtree))
            .prop_map(|(product, entity, master, subtree)| Part { product, entity, master, subtree })
    }

    fn scope() -> impl Strategy<Value = Scope> {
        prop_oneof![
            1 => Just(Scope::everything()),
            9 => collection::vec(part(), 0..4).prop_map(|parts| parts.into_iter().collect())
        ]
    }

    proptest! {
        #[test]
        fn what_is_within_covers_no_more(a in scope(), b in scope(), leaf in leaf()) {
            if a.is_within(&b) && a.covers(&leaf.target()) {
                prop_assert!(b.covers(&leaf.target()), "{a} within {b}");
            }
        }

        #[test]
        fn a_scope_of_parts_covers_what_one_of_them_does(parts in collection::vec(part(), 0..5), leaf in leaf()) {
            let one = parts.iter().any(|p| p.covers(&leaf.target()));
            prop_assert_eq!(parts.into_iter().collect::<Scope>().covers(&leaf.target()), one);
        }

        #[test]
        fn everything_covers_all_and_nothing_covers_none(leaf in leaf(), any_scope in scope()) {
            prop_assert!(Scope::everything().covers(&leaf.target()));
            prop_assert!(!Scope::nothing().covers(&leaf.target()));
            prop_assert!(any_scope.is_within(&Scope::everything()) && Scope::nothing().is_within(&any_scope));
            prop_assert!(any_scope.is_within(&any_scope));
        }

        #[test]
        fn what_is_written_is_read_again(part in part()) {
            prop_assert_eq!(part.to_string().parse::<Part>(), Ok(part));
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = text.parse::<Part>();
        }
    }

    #[test]
    fn foreign_and_absent_give_one_answer() {
        let leaf = || Leaf {
            product: Some("tiktok".to_owned()),
            entity: "a".to_owned(),
            master: "de".to_owned(),
            path: "de/tiktok".to_owned(),
        };
        let scope = |text: &str| Scope::from(text.parse::<Part>().unwrap());
        let ask = |row: Option<Guarded<Leaf>>, scope: &Scope| {
            found(row, scope, || "there is no account de/tiktok".to_owned()).map(|l| l.path)
        };
        let foreign = ask(Some(Guarded::new(leaf())), &scope("product:douyin"));
        assert_eq!(foreign, ask(None, &scope("product:douyin")));
        assert!(ask(Some(Guarded::new(leaf())), &scope("product:tiktok+master:de")).is_ok());
        assert!(ask(Some(Guarded::new(leaf())), &scope("subtree:de/tik")).is_err());
        assert_eq!(seen([Guarded::new(leaf()), Guarded::new(leaf())], &scope("entity:b")).len(), 0);
    }

    #[test]
    fn a_scope_that_cannot_be_is_refused_with_the_way_to_write_it() {
        for wrong in
            ["", "tiktok", "product:", "product:a+product:b", "market:DE", "subtree:/a", "product:a b", "all+x"]
        {
            let why = wrong.parse::<Part>().unwrap_err();
            assert!(why.contains("product:CODE"), "{wrong}: {why}");
        }
    }
}
