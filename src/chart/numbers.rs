//! Virtual account numbers: what a payer writes so that money finds its leaf, with check digits that catch a slip of the pen.
//!
//! Three schemes, one per master. All carry two check digits modulo 97, which find every wrong digit and every swap of two
//! neighbours. A number is made of the range that the bank has allotted and a serial that only grows; so numbers of one
//! range never repeat. `recognise` finds the master that a statement means, since banks write one account in many ways.

use std::fmt;

/// How a master's virtual account numbers are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// ISO 13616: country, check digits, the bank's range, a serial. National check digits inside (Spain, Italy, ...) are
    /// the bank's: its range must already respect them.
    Iban,
    /// ISO 11649 creditor reference: `RF`, check digits, prefix, serial; travels in the structured remittance field.
    Rf,
    /// Digits only, with ISO 7064 mod 97-10 check digits at the end: for banks outside the IBAN world.
    Digits,
}

impl Scheme {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Iban => "iban",
            Scheme::Rf => "rf",
            Scheme::Digits => "digits",
        }
    }

    /// From storage or a file.
    pub fn parse(text: &str) -> Option<Self> {
        [Scheme::Iban, Scheme::Rf, Scheme::Digits].into_iter().find(|s| s.as_str() == text)
    }
}

/// Why no number can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// An IBAN prefix that does not begin with a country of the registry.
    Country(String),
    /// Signs that the scheme does not have.
    Signs {
        /// The prefix.
        prefix: String,
        /// What it may have.
        allowed: &'static str,
    },
    /// The prefix leaves too few places for a serial.
    TooLong {
        /// The prefix.
        prefix: String,
        /// The longest that it may be.
        most: usize,
    },
    /// The range is used up.
    Exhausted {
        /// The prefix.
        prefix: String,
        /// Places for the serial.
        places: usize,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Country(prefix) => {
                write!(f, "\"{prefix}\" does not begin with a country that has IBANs: write it like DE50070010")
            }
            Problem::Signs { prefix, allowed } => write!(f, "\"{prefix}\" may only have {allowed}"),
            Problem::TooLong { prefix, most } => {
                write!(f, "\"{prefix}\" leaves no room for a serial: it may have {most} signs at most")
            }
            Problem::Exhausted { prefix, places } => {
                write!(f, "the range \"{prefix}\" is used up: its serials have {places} digits")
            }
        }
    }
}

/// Lengths of IBANs by country, from the SWIFT registry.
const IBAN_LENGTHS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 \
    DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 \
    IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 \
    MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 \
    SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30";

/// A creditor reference has 25 signs at most.
const RF_LENGTH: usize = 25;

/// What camt gives an account that is no IBAN (`Max34Text`).
const DIGITS_LENGTH: usize = 34;

/// A range must leave room for at least so many digits of serial.
const LEAST_PLACES: usize = 4;

/// Serials are padded to this where the scheme has no fixed length, so that the numbers of a range look alike.
const PADDED: usize = 8;

/// The length of a country's IBANs, where it has them.
pub fn iban_length(country: &str) -> Option<usize> {
    IBAN_LENGTHS
        .split_whitespace()
        .find_map(|entry| entry.split_at_checked(2).filter(|(c, _)| *c == country)?.1.parse().ok())
}

/// As numbers are stored and compared: upper case, without blanks, '/', '-' and '.'.
pub fn normalise(text: &str) -> String {
    let kept = text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '/' | '-' | '.'));
    kept.flat_map(char::to_uppercase).collect()
}

/// Places that a prefix leaves for the serial, or what is wrong with the prefix.
pub fn places(scheme: Scheme, prefix: &str) -> Result<usize, Problem> {
    let given = || prefix.to_owned();
    let length = match scheme {
        // The check digits are not part of the prefix.
        Scheme::Iban => prefix.get(..2).and_then(iban_length).ok_or_else(|| Problem::Country(given()))? - 2,
        Scheme::Rf => RF_LENGTH - 4,
        Scheme::Digits => DIGITS_LENGTH - 2,
    };
    let (fits, allowed): (fn(u8) -> bool, _) = match scheme {
        Scheme::Digits => (|b| b.is_ascii_digit(), "digits"),
        _ => (|b| b.is_ascii_digit() || b.is_ascii_uppercase(), "letters A to Z and digits"),
    };
    if !prefix.bytes().all(fits) {
        return Err(Problem::Signs { prefix: given(), allowed });
    }
    let most = length - LEAST_PLACES;
    if prefix.len() > most {
        return Err(Problem::TooLong { prefix: given(), most });
    }
    Ok(length - prefix.len())
}

/// The number with this serial in a range. Equal input gives equal output; different serials give different numbers.
pub fn generate(scheme: Scheme, prefix: &str, serial: u64) -> Result<String, Problem> {
    let places = places(scheme, prefix)?;
    let width = if scheme == Scheme::Iban { places } else { places.min(PADDED) };
    let serial = format!("{serial:0width$}");
    if serial.len() > places {
        return Err(Problem::Exhausted { prefix: prefix.to_owned(), places });
    }
    let number = match scheme {
        Scheme::Iban => {
            let (country, range) = prefix.split_at(2);
            let check = check_digits(&format!("{range}{serial}{country}"));
            format!("{country}{check:02}{range}{serial}")
        }
        Scheme::Rf => {
            let check = check_digits(&format!("{prefix}{serial}RF"));
            format!("RF{check:02}{prefix}{serial}")
        }
        Scheme::Digits => {
            let body = format!("{prefix}{serial}");
            let check = check_digits(&body);
            format!("{body}{check:02}")
        }
    };
    Ok(number)
}

/// Whether the check digits of a number are right; the number itself says of which kind it is.
pub fn verify(text: &str) -> bool {
    let number = normalise(text);
    if !number.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()) {
        return false;
    }
    if number.len() > 2 && number.bytes().all(|b| b.is_ascii_digit()) {
        return number.len() <= DIGITS_LENGTH && remainder(&number) == 1;
    }
    let (Some(kind), Some(check), Some(body)) = (number.get(..2), number.get(2..4), number.get(4..)) else {
        return false;
    };
    let fits = match iban_length(kind) {
        Some(length) => number.len() == length,
        None => kind == "RF" && number.len() <= RF_LENGTH && !body.is_empty(),
    };
    // 00, 01 and 99 leave the same remainders as 97, 98 and 02, but are never given.
    let given = check.bytes().all(|b| b.is_ascii_digit()) && !matches!(check, "00" | "01" | "99");
    fits && given && remainder(&format!("{body}{kind}{check}")) == 1
}

/// Whether a text is written like an IBAN, right or wrong: a country that has them, two digits, something more.
pub fn looks_like_iban(text: &str) -> bool {
    let country = text.get(..2).and_then(iban_length).is_some();
    country && text.get(2..4).is_some_and(|c| c.bytes().all(|b| b.is_ascii_digit())) && text.len() > 10
}

/// The two digits that make the whole leave 1 modulo 97.
fn check_digits(body: &str) -> u32 {
    98 - remainder(&format!("{body}00"))
}

/// The remainder modulo 97 of a text in which A is 10, B is 11 and so on.
fn remainder(text: &str) -> u32 {
    text.chars().fold(0, |r, c| match c.to_digit(36) {
        Some(digit) if digit < 10 => (r * 10 + digit) % 97,
        Some(letter) => (r * 100 + letter) % 97,
        None => r,
    })
}

/// A bank account as the chart knows it, for [`recognise`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownAccount<'a> {
    /// Normalised.
    pub number: &'a str,
    /// ISO 4217.
    pub currency: &'a str,
    /// The bank's BIC, where it is known.
    pub bic: Option<&'a str>,
}

/// Fewer signs than this are no account: too many would end in them.
const LEAST_SIGNS: usize = 6;

/// Which account a statement means. Banks write `BIC/account`, `bank code/account`, the account with its currency behind it,
/// without the IBAN's first part or without leading zeros. An equal number wins; else the one account that ends in what is
/// given, or that it ends in. Two that fit are none: a statement must never go to the wrong master.
pub fn recognise(known: &[KnownAccount<'_>], given: &str, currency: Option<&str>) -> Option<usize> {
    as_written(known, given, currency).or_else(|| {
        // "1234567EUR": the currency behind the account counts, unless it contradicts the statement's own.
        let (account, behind) = given.trim_end().len().checked_sub(3).and_then(|at| given.split_at_checked(at))?;
        let behind = behind.trim_end();
        let is_currency = known.iter().any(|k| k.currency == behind) && currency.is_none_or(|c| c == behind);
        is_currency.then(|| as_written(known, account, Some(behind))).flatten()
    })
}

fn as_written(known: &[KnownAccount<'_>], given: &str, currency: Option<&str>) -> Option<usize> {
    let (bank, account) = given.rsplit_once('/').unwrap_or(("", given));
    let (bank, account, whole) = (normalise(bank), normalise(account), normalise(given));
    let fitting = |matches: &dyn Fn(&str) -> bool| -> Vec<usize> {
        let fits = |k: &KnownAccount<'_>| currency.is_none_or(|c| c == k.currency) && matches(k.number);
        known.iter().enumerate().filter(|(_, k)| fits(k)).map(|(index, _)| index).collect()
    };
    // The bank's part tells twins at two banks apart.
    let at_bank = |index: &&usize| {
        let bic = |b: &str| b.starts_with(&bank) || bank.starts_with(b);
        !bank.is_empty() && known.get(**index).is_some_and(|k| k.number.contains(&bank) || k.bic.is_some_and(bic))
    };
    let only = |found: &[usize]| match found {
        [one] => Some(*one),
        several => {
            let mut of_bank = several.iter().filter(at_bank);
            of_bank.next().filter(|_| of_bank.next().is_none()).copied()
        }
    };
    let equal = |form: &str| fitting(&|number| number == form);
    let long = |s: &str| s.len() >= LEAST_SIGNS;
    let ending =
        |form: &str| fitting(&|number| long(form) && number.ends_with(form) || long(number) && form.ends_with(number));
    let forms = [whole.as_str(), account.as_str()];
    let bare = forms.map(|form| form.trim_start_matches('0'));
    let tries = forms.iter().map(|f| equal(f)).chain(forms.iter().chain(&bare).map(|f| ending(f)));
    // The first way of looking that finds any decides, also when it finds too many.
    tries.into_iter().find(|found| !found.is_empty()).and_then(|found| only(&found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, prop_assert_ne, proptest};
    use std::collections::HashSet;

    const RANGES: [(Scheme, &str); 7] = [
        (Scheme::Iban, "DE50070010"),
        (Scheme::Iban, "GB29NWBK601613"),
        (Scheme::Iban, "NO8601"),
        (Scheme::Iban, "FR2004101005"),
        (Scheme::Rf, "TT"),
        (Scheme::Rf, ""),
        (Scheme::Digits, "88001"),
    ];

    #[test]
    fn numbers_of_the_standards_verify() {
        for number in [
            "DE89 3704 0044 0532 0130 00",
            "GB29 NWBK 6016 1331 9268 19",
            "NO93 8601 1117 947",
            "MT84MALT011000012345MTLCAST001S",
            "fr14 2004 1010 0505 0001 3M02 606",
            "RF18 5390 0754 7034",
        ] {
            assert!(verify(number), "{number}");
        }
        for number in
            ["", "DE", "RF18", "DE88370400440532013000", "DE8937040044053201300", "ZZ89370400440532013000", "12", "☃"]
        {
            assert!(!verify(number), "{number}");
        }
    }

    #[test]
    fn numbers_look_as_their_scheme_says() {
        assert_eq!(generate(Scheme::Iban, "DE37040044", 532_013_000).as_deref(), Ok("DE89370400440532013000"));
        assert_eq!(generate(Scheme::Rf, "5390", 7_547_034).as_deref(), Ok("RF18539007547034"));
        assert_eq!(generate(Scheme::Digits, "794", 0).map(|n| n.len()), Ok(13));
    }

    #[test]
    fn a_range_that_is_wrong_or_used_up_is_refused() {
        assert!(matches!(generate(Scheme::Iban, "50070010", 1), Err(Problem::Country(_))));
        assert!(matches!(generate(Scheme::Iban, "US50070010", 1), Err(Problem::Country(_))));
        assert!(matches!(generate(Scheme::Iban, "D", 1), Err(Problem::Country(_))));
        assert!(matches!(generate(Scheme::Iban, "é", 1), Err(Problem::Country(_))));
        assert!(matches!(generate(Scheme::Iban, "DEé", 1), Err(Problem::Signs { .. })));
        assert!(matches!(generate(Scheme::Digits, "12A", 1), Err(Problem::Signs { .. })));
        assert!(matches!(generate(Scheme::Rf, &"A".repeat(18), 1), Err(Problem::TooLong { most: 17, .. })));
        assert!(matches!(
            generate(Scheme::Iban, "DE50070010123456", 10_000),
            Err(Problem::Exhausted { places: 4, .. })
        ));
        assert!(generate(Scheme::Iban, "DE50070010123456", 9_999).is_ok());
    }

    #[test]
    fn a_statement_finds_its_master_however_the_bank_writes_it() {
        let account = |number, currency, bic| KnownAccount { number, currency, bic };
        let known = [
            account("DE89370400440532013000", "EUR", Some("COBADEFF")),
            account("DE89370400440532013000", "USD", Some("COBADEFF")),
            account("GB29NWBK60161331926819", "GBP", None),
            account("1234567", "SGD", Some("DBSSSGSG")),
            account("991234567", "SGD", Some("UOVBSGSG")),
        ];
        for (given, currency, expected) in [
            ("DE89 3704 0044 0532 0130 00", Some("EUR"), Some(0)),
            ("de89370400440532013000", Some("USD"), Some(1)),
            ("DE89370400440532013000", None, None),
            ("DE89370400440532013000USD", None, Some(1)),
            ("COBADEFF/0532013000", Some("EUR"), Some(0)),
            ("37040044/532013000", Some("EUR"), Some(0)),
            ("37040044/0532013000EUR", Some("EUR"), Some(0)),
            ("370400440532013000", Some("EUR"), Some(0)),
            ("000532013000", Some("EUR"), Some(0)),
            ("31926819", Some("GBP"), Some(2)),
            ("26819", Some("GBP"), None),
            ("31926819", Some("EUR"), None),
            ("37040044/0532013000 usd", None, None),
            ("37040044/0532013000 USD", None, Some(1)),
            ("37040044/0532013000USD", Some("EUR"), None),
            ("1234567", Some("SGD"), Some(3)),
            ("001234567", Some("SGD"), Some(3)),
            ("234567", Some("SGD"), None),
            ("UOVBSGSGXXX/234567", Some("SGD"), Some(4)),
            ("", Some("EUR"), None),
            ("☃☃☃☃☃☃☃", Some("EUR"), None),
        ] {
            assert_eq!(recognise(&known, given, currency), expected, "{given} {currency:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_generated_verifies(range in 0..RANGES.len(), serial in 0u64..9_999) {
            let (scheme, prefix) = RANGES[range];
            let number = generate(scheme, prefix, serial).unwrap();
            prop_assert!(verify(&number), "{}", number);
            prop_assert!(verify(&number.to_lowercase()));
            prop_assert_eq!(normalise(&number), number);
        }

        #[test]
        fn numbers_of_a_range_never_repeat(range in 0..RANGES.len(), serials in prop::collection::hash_set(0u64..20_000, 1..200)) {
            let (scheme, prefix) = RANGES[range];
            let made: HashSet<String> = serials.iter().filter_map(|s| generate(scheme, prefix, *s).ok()).collect();
            let fitting = serials.iter().filter(|s| generate(scheme, prefix, **s).is_ok()).count();
            prop_assert_eq!(made.len(), fitting);
        }

        #[test]
        fn a_wrong_digit_and_a_swap_are_found(range in 0..RANGES.len(), serial in 0u64..9_999, at in any::<prop::sample::Index>(), by in 1u8..10) {
            let (scheme, prefix) = RANGES[range];
            let number = generate(scheme, prefix, serial).unwrap().into_bytes();
            let digits: Vec<usize> = (0..number.len()).filter(|i| number[*i].is_ascii_digit()).collect();
            let place = digits[at.index(digits.len())];
            let mut wrong = number.clone();
            wrong[place] = b'0' + (number[place] - b'0' + by) % 10;
            prop_assert!(!verify(&String::from_utf8(wrong).unwrap()));
            if number.get(place + 1).is_some_and(|next| next.is_ascii_digit() && *next != number[place]) {
                let mut swapped = number.clone();
                swapped.swap(place, place + 1);
                prop_assert_ne!(&swapped, &number);
                prop_assert!(!verify(&String::from_utf8(swapped).unwrap()));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}", currency in "[A-Z]{3}|") {
            verify(&text);
            let known = [KnownAccount { number: "DE89370400440532013000", currency: "EUR", bic: None }];
            recognise(&known, &text, Some(&currency));
            for scheme in [Scheme::Iban, Scheme::Rf, Scheme::Digits] {
                let _ = generate(scheme, &text, 1);
            }
        }
    }
}
