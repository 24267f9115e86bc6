//! Who pays and who is paid: invented companies, the same for the same number.

use super::treasury::Plan;
use crate::chart::numbers::{self, Scheme};

/// How many payers each master has.
pub(super) const PAYERS: u64 = 140;

/// The other side of a payment.
pub(super) struct Party {
    pub(super) name: String,
    pub(super) account: String,
    pub(super) bank: Option<&'static str>,
}

/// Stems, lines of business and forms of companies of a region.
type Region = (&'static [&'static str], &'static [&'static str], &'static [&'static str]);

const GERMAN: Region = (
    &[
        "Brückner",
        "Haselbach",
        "Lindqvist",
        "Vandermeer",
        "Rosenthal",
        "Kowalczyk",
        "Müller & Söhne",
        "Tiefenbach",
        "Bellini",
        "Jansen",
    ],
    &["Media", "Handels", "Sport", "Mode", "Reise", "Spielwaren", "Küchen"],
    &["GmbH", "AG"],
);
const FRENCH: Region = (
    &[
        "Beauchêne",
        "Delaunay",
        "Garonne",
        "Montclair",
        "Ibarra",
        "Castellón",
        "O'Rourke",
        "Perrault",
        "Vasseur",
        "Llorente",
    ],
    &["Média", "Cosmétiques", "Voyages", "Librairie", "Mode", "Sports", "Jeux"],
    &["SARL", "SAS"],
);
const PLAIN_GERMAN: Region = (
    &[
        "Oberhuber",
        "Alpenland",
        "Nordlund",
        "Seewald",
        "Karlsson",
        "Hofstetter",
        "Wienerwald",
        "Sundberg",
        "Donauer",
        "Ekstrom",
    ],
    &["Media", "Handel", "Sport", "Mode", "Reisen", "Spiele", "Moebel"],
    &["GmbH", "AB"],
);
const ENGLISH: Region = (
    &[
        "Ashdown",
        "Brightwater",
        "Cedar & Co",
        "Dunmore",
        "Eastgate",
        "Foxglove",
        "Granite Peak",
        "Holloway",
        "Ironbridge",
        "Juniper",
    ],
    &["Media", "Outfitters", "Beauty", "Travel", "Games", "Kitchens", "Apparel"],
    &["Ltd", "LLC"],
);
const BRAZILIAN: Region = (
    &[
        "Araújo",
        "Boa Vista",
        "Cachoeira",
        "Dourado",
        "Esperança",
        "Figueira",
        "Guanabara",
        "Horizonte",
        "Ipanema",
        "Jacarandá",
    ],
    &["Mídia", "Comércio", "Esportes", "Moda", "Viagens", "Jogos", "Cosméticos"],
    &["Ltda", "SA"],
);
const JAPANESE: Region = (
    &[
        "Aoyama",
        "Fujimori",
        "Hanabira",
        "Kazehaya",
        "Minamoto",
        "Nagisa",
        "Otowa",
        "Shirakawa",
        "Tachibana",
        "Yamabuki",
    ],
    &["Media", "Shoji", "Sports", "Apparel", "Travel", "Games", "Foods"],
    &["KK", "GK"],
);
const ASIAN: Region = (
    &[
        "Bintang",
        "Chaophraya",
        "Damai",
        "Golden Lotus",
        "Hanoi Star",
        "Jaya",
        "Keppel Hill",
        "Lion Rock",
        "Merlion",
        "Seoul Bridge",
    ],
    &["Media", "Trading", "Beauty", "Travel", "Games", "Foods", "Fashion"],
    &["Pte Ltd", "Co Ltd"],
);
const CHINESE: Region = (
    &[
        "Beijing Huayun",
        "Chengdu Jinxi",
        "Guangzhou Nanfeng",
        "Hangzhou Xihu",
        "Nanjing Zhongshan",
        "Ningbo Donghai",
        "Shanghai Pujiang",
        "Shenzhen Pengcheng",
        "Suzhou Taihu",
        "Xiamen Lujiang",
    ],
    &["Media", "Trading", "Beauty", "Travel", "Games", "Foods", "Fashion"],
    &["Co Ltd", "Technology Co Ltd"],
);
const GULF: Region = (
    &["Al Bahar", "Al Noor", "Burgan", "Dasman", "Falcon", "Jahra", "Marina", "Oryx", "Salmiya", "Zain Valley"],
    &["Media", "Trading", "Perfumes", "Travel", "Games", "Foods", "Fashion"],
    &["WLL", "Co"],
);

/// Region, how its accounts are numbered, and its banks.
fn of(plan: &Plan) -> (Region, Scheme, &'static str, &'static [&'static str]) {
    match plan.code {
        "de-eur" => (GERMAN, Scheme::Iban, "DE70050099", &["KREBDEFF", "NORDDEHH"]),
        "fr-eur" => (FRENCH, Scheme::Iban, "IEBOLC9000", &["BOLCIE2D", "CRPEFRPP"]),
        "at-eur" => (PLAIN_GERMAN, Scheme::Iban, "AT19740", &["ALPBATWW", "NORBSESS"]),
        "gb-gbp" => (ENGLISH, Scheme::Iban, "GBMERS401900", &["MERSGB2L", "PENNGB21"]),
        "us-usd" => (ENGLISH, Scheme::Digits, "5501", &["PRAIUS44", "LAKEUS33"]),
        "br-brl" => (BRAZILIAN, Scheme::Digits, "5502", &["SERRBRSP"]),
        "jp-jpy" => (JAPANESE, Scheme::Digits, "5503", &["HAKOJPJT", "SETOJPJT"]),
        "cn-cny" => (CHINESE, Scheme::Digits, "5504", &["YELRCNBJ"]),
        "kw-kwd" => (GULF, Scheme::Iban, "KWDSRT0000000000", &["DSRTKWKW"]),
        _ => (ASIAN, Scheme::Digits, "5505", &["MEKOVNVX", "JAVAIDJA", "HANRKRSE"]),
    }
}

/// The company with a number; its account is always the same.
pub(super) fn party(plan: &Plan, number: u64) -> Party {
    let ((stems, lines, forms), scheme, prefix, banks) = of(plan);
    let stem = nth(stems, number);
    let line = nth(lines, number / 10);
    let form = nth(forms, number / 70);
    let account =
        numbers::generate(scheme, prefix, 10_007 + number * 61).expect("the range of the demo's payers has room");
    Party { name: format!("{stem} {line} {form}"), account, bank: Some(nth(banks, number)) }
}

/// A person who makes videos, and their account.
pub(super) fn creator(plan: &Plan, number: u64) -> Party {
    const FIRST: [&str; 12] =
        ["Alex", "Bo", "Charlie", "Dana", "Eli", "Fran", "Gray", "Jo", "Kim", "Lee", "Robin", "Sam"];
    const LAST: [&str; 11] = ["Abel", "Brook", "Cole", "Diaz", "Ender", "Frost", "Hale", "Ito", "Moss", "Tan", "West"];
    let (_, scheme, prefix, banks) = of(plan);
    let account =
        numbers::generate(scheme, prefix, 50_021 + number * 61).expect("the range of the demo's creators has room");
    Party {
        name: format!("{} {}", nth(&FIRST, number), nth(&LAST, number / 12)),
        account,
        bank: Some(nth(banks, number)),
    }
}

/// A company that is the same everywhere.
pub(super) fn company(plan: &Plan, name: &str, number: u64) -> Party {
    let (_, scheme, prefix, banks) = of(plan);
    let account =
        numbers::generate(scheme, prefix, 90_001 + number).expect("the range of the demo's companies has room");
    Party { name: name.to_owned(), account, bank: Some(nth(banks, number)) }
}

fn nth<T: Copy>(of: &[T], number: u64) -> T {
    let len = u64::try_from(of.len()).unwrap_or(1);
    of[usize::try_from(number % len).unwrap_or(0)]
}
