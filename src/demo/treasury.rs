//! The treasury of the demo: its chart as tables, and as the TOML that anyone could have written.
//!
//! Banks, entities and people are invented; account numbers have right check digits and belong to nobody. The chart does not
//! depend on the seed, so that two demos differ in what happens and not in who it happens to.

use super::rulebook;
use crate::chart::numbers::{self, Scheme};
use crate::money::{Currency, Minor};
use std::fmt::Write;

/// How a bank writes its statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Camt08,
    Camt02,
    German,
    Slash,
}

/// On which days a bank has no business, and whether it sends a statement then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Saturday and Sunday without statements.
    Weekend,
    /// Saturday and Sunday with statements that have no lines.
    EmptyWeekend,
    /// Friday and Saturday without statements.
    Friday,
}

/// A master as the demo plans it.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) code: &'static str,
    pub(super) name: &'static str,
    pub(super) bank: &'static str,
    pub(super) bic: &'static str,
    pub(super) entity: &'static str,
    pub(super) currency: &'static str,
    pub(super) account: &'static str,
    time_zone: &'static str,
    scheme: Scheme,
    prefix: &'static str,
    pub(super) style: Style,
    pub(super) rest: Rest,
    /// The first is its main market.
    pub(super) markets: &'static [&'static str],
    /// Receipts of an ordinary day.
    pub(super) receipts: i64,
    /// Minor units for one euro, so that amounts look alike in all currencies.
    pub(super) euro: i64,
    /// Whether the bank gives each line a reference of its own.
    pub(super) refs: bool,
}

/// A leaf of a product, with the number that the chart will give it.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) code: String,
    pub(super) product: &'static str,
    pub(super) market: &'static str,
    /// Receipts come to the operating ones.
    pub(super) purpose: &'static str,
    owner: Option<&'static str>,
    pub(super) number: String,
    pub(super) opening: i64,
}

impl Leaf {
    /// Whether it is for the daily business of its product.
    pub(super) fn is_operating(&self) -> bool {
        self.purpose == "operating"
    }
}

/// A master with its leaves and its opening.
#[derive(Debug)]
pub(super) struct Master {
    pub(super) plan: &'static Plan,
    pub(super) currency: Currency,
    pub(super) scheme: Scheme,
    pub(super) leaves: Vec<Leaf>,
    pub(super) pool: i64,
    pub(super) fees: i64,
    /// Found in the account at the start and not yet anybody's.
    unplaced: i64,
}

impl Master {
    /// The bank's balance at the start.
    pub(super) fn opening(&self) -> i64 {
        self.leaves.iter().map(|leaf| leaf.opening).sum::<i64>() + self.pool + self.fees + self.unplaced
    }

    /// The operating leaf of a product in the master's main market.
    pub(super) fn main_leaf(&self, product: &str) -> Option<usize> {
        let main = self.plan.markets[0];
        self.leaves.iter().position(|leaf| leaf.product == product && leaf.market == main && leaf.is_operating())
    }

    /// The leaf out of which creators are paid.
    pub(super) fn creators_leaf(&self) -> Option<usize> {
        self.leaves.iter().position(|leaf| leaf.purpose == "creators")
    }
}

/// Whose rates count.
pub const RATES_SOURCE: &str = "house";

/// Lines before are history; the bank's balance is that of the start of this day.
pub(super) const CUT_OVER: &str = "2026-07-01";

pub(super) const ENTITIES: [(&str, &str, &str); 11] = [
    ("cf-ie", "Confluence Europe Limited", "IE"),
    ("cf-de", "Confluence Deutschland GmbH", "DE"),
    ("cf-fr", "Confluence France SAS", "FR"),
    ("cf-gb", "Confluence UK Limited", "GB"),
    ("cf-us", "Confluence Americas Inc.", "US"),
    ("cf-br", "Confluence do Brasil Ltda.", "BR"),
    ("cf-jp", "Confluence Japan KK", "JP"),
    ("cf-sg", "Confluence Asia Pacific Pte. Ltd.", "SG"),
    ("cf-cn", "Confluence (Shanghai) Technology Co., Ltd.", "CN"),
    ("cf-kw", "Confluence Gulf W.L.L.", "KW"),
    ("cf-pico", "Confluence Devices Pte. Ltd.", "SG"),
];

const BANKS: [(&str, &str, &str, &str); 10] = [
    ("rhein-handelsbank", "Rhein Handelsbank AG", "RHHBDEFF", "DE"),
    ("banque-lutece", "Banque Lutèce", "BLUTFRPP", "FR"),
    ("donau-kreditbank", "Donau Kreditbank AG", "DOKBATWW", "AT"),
    ("thames-severn", "Thames & Severn Bank plc", "THSVGB2L", "GB"),
    ("hudson-meridian", "Hudson Meridian Bank N.A.", "HUMEUS33", "US"),
    ("atlantico-sul", "Banco Atlântico do Sul S.A.", "BASUBRSP", "BR"),
    ("kisogawa", "Kisogawa Bank, Ltd.", "KISOJPJT", "JP"),
    ("straits-union", "Straits Union Bank Limited", "STUBSGSG", "SG"),
    ("pearl-river", "Pearl River Merchants Bank", "PRMBCNSH", "CN"),
    ("gulf-pearl", "Gulf Pearl Bank K.S.C.P.", "GPBKKWKW", "KW"),
];

const MARKETS: [(&str, &str); 24] = [
    ("DE", "Germany"),
    ("FR", "France"),
    ("AT", "Austria"),
    ("IT", "Italy"),
    ("ES", "Spain"),
    ("NL", "Netherlands"),
    ("PL", "Poland"),
    ("SE", "Sweden"),
    ("IE", "Ireland"),
    ("GB", "United Kingdom"),
    ("US", "United States"),
    ("CA", "Canada"),
    ("MX", "Mexico"),
    ("BR", "Brazil"),
    ("JP", "Japan"),
    ("KR", "South Korea"),
    ("SG", "Singapore"),
    ("MY", "Malaysia"),
    ("ID", "Indonesia"),
    ("TH", "Thailand"),
    ("VN", "Viet Nam"),
    ("CN", "China"),
    ("KW", "Kuwait"),
    ("AE", "United Arab Emirates"),
];

/// Code, name, how big it is, and where it does business.
pub(super) const PRODUCTS: [(&str, &str, u64, &str); 14] = [
    ("tiktok", "TikTok", 12, "DE FR AT IT ES NL PL SE IE GB US CA MX BR JP KR SG MY ID TH VN KW AE"),
    ("douyin", "Douyin", 12, "CN"),
    ("capcut", "CapCut", 5, "DE FR AT IT ES NL PL SE IE GB US CA MX BR JP KR SG MY ID TH VN KW AE"),
    ("lark", "Lark", 3, "DE FR AT IT ES NL PL SE IE GB US BR JP KR SG MY ID TH VN CN AE"),
    ("toutiao", "Toutiao", 5, "CN"),
    ("xigua", "Xigua Video", 2, "CN"),
    ("pico", "PICO", 2, "DE FR AT IT ES NL GB US CA JP KR SG CN"),
    ("lemon8", "Lemon8", 2, "US CA GB JP KR SG MY ID TH VN AE"),
    ("hypic", "Hypic", 1, "DE FR ES IT PL NL SE GB US CA BR MX JP KR SG MY ID TH VN KW AE"),
    ("gauth", "Gauth", 1, "US CA MX BR GB DE FR ES IT NL PL SE JP KR SG MY ID TH VN AE"),
    ("fizzo", "Fizzo Novel", 1, "ID MX BR US TH VN"),
    ("tiktok-shop", "TikTok Shop", 6, "DE FR IT ES IE GB US MX BR JP SG MY ID TH VN"),
    ("jianying", "Jianying", 3, "CN"),
    ("doubao", "Doubao", 3, "CN"),
];

pub(super) const PLANS: [Plan; 11] = [
    Plan {
        code: "de-eur",
        name: "Euro collections, Germany",
        bank: "rhein-handelsbank",
        bic: "RHHBDEFF",
        entity: "cf-de",
        currency: "EUR",
        account: "DE85501904000071400100",
        time_zone: "Europe/Berlin",
        scheme: Scheme::Iban,
        prefix: "DE5019040088",
        style: Style::Camt08,
        rest: Rest::EmptyWeekend,
        markets: &["DE", "IT", "NL", "PL"],
        receipts: 36,
        euro: 100,
        refs: true,
    },
    Plan {
        code: "fr-eur",
        name: "Euro collections, France and Iberia",
        bank: "banque-lutece",
        bic: "BLUTFRPP",
        entity: "cf-fr",
        currency: "EUR",
        account: "FR7630749010200004177001222",
        time_zone: "Europe/Paris",
        scheme: Scheme::Rf,
        prefix: "CF33",
        style: Style::Camt08,
        rest: Rest::Weekend,
        markets: &["FR", "ES", "IE"],
        receipts: 23,
        euro: 100,
        refs: true,
    },
    Plan {
        code: "at-eur",
        name: "Euro collections, Austria and the North",
        bank: "donau-kreditbank",
        bic: "DOKBATWW",
        entity: "cf-de",
        currency: "EUR",
        account: "AT501973000512004417",
        time_zone: "Europe/Vienna",
        scheme: Scheme::Iban,
        prefix: "AT1973088",
        style: Style::German,
        rest: Rest::Weekend,
        markets: &["AT", "SE"],
        receipts: 15,
        euro: 100,
        refs: false,
    },
    Plan {
        code: "gb-gbp",
        name: "Sterling collections",
        bank: "thames-severn",
        bic: "THSVGB2L",
        entity: "cf-gb",
        currency: "GBP",
        account: "GB53THSV40187760220145",
        time_zone: "Europe/London",
        scheme: Scheme::Iban,
        prefix: "GBTHSV40187788",
        style: Style::Camt08,
        rest: Rest::Weekend,
        markets: &["GB"],
        receipts: 26,
        euro: 86,
        refs: true,
    },
    Plan {
        code: "us-usd",
        name: "Dollar collections, Americas",
        bank: "hudson-meridian",
        bic: "HUMEUS33",
        entity: "cf-us",
        currency: "USD",
        account: "4007118820198",
        time_zone: "America/New_York",
        scheme: Scheme::Digits,
        prefix: "40078",
        style: Style::Camt02,
        rest: Rest::Weekend,
        markets: &["US", "CA", "MX"],
        receipts: 42,
        euro: 109,
        refs: true,
    },
    Plan {
        code: "br-brl",
        name: "Real collections",
        bank: "atlantico-sul",
        bic: "BASUBRSP",
        entity: "cf-br",
        currency: "BRL",
        account: "BR7260419284000170002417755C1",
        time_zone: "America/Sao_Paulo",
        scheme: Scheme::Rf,
        prefix: "CF55",
        style: Style::Camt08,
        rest: Rest::Weekend,
        markets: &["BR"],
        receipts: 24,
        euro: 612,
        refs: true,
    },
    Plan {
        code: "jp-jpy",
        name: "Yen collections",
        bank: "kisogawa",
        bic: "KISOJPJT",
        entity: "cf-jp",
        currency: "JPY",
        account: "041720336515",
        time_zone: "Asia/Tokyo",
        scheme: Scheme::Digits,
        prefix: "04178",
        style: Style::Camt08,
        rest: Rest::Weekend,
        markets: &["JP"],
        receipts: 25,
        euro: 164,
        refs: true,
    },
    Plan {
        code: "sg-usd",
        name: "Dollar collections, Asia",
        bank: "straits-union",
        bic: "STUBSGSG",
        entity: "cf-sg",
        currency: "USD",
        account: "712440088170",
        time_zone: "Asia/Singapore",
        scheme: Scheme::Digits,
        prefix: "71248",
        style: Style::Slash,
        rest: Rest::Weekend,
        markets: &["ID", "KR", "TH", "VN"],
        receipts: 25,
        euro: 109,
        refs: true,
    },
    Plan {
        code: "sg-sgd",
        name: "Singapore dollar collections",
        bank: "straits-union",
        bic: "STUBSGSG",
        entity: "cf-sg",
        currency: "SGD",
        account: "712440031328",
        time_zone: "Asia/Singapore",
        scheme: Scheme::Digits,
        prefix: "71249",
        style: Style::Slash,
        rest: Rest::EmptyWeekend,
        markets: &["SG", "MY"],
        receipts: 18,
        euro: 147,
        refs: true,
    },
    Plan {
        code: "cn-cny",
        name: "Renminbi collections",
        bank: "pearl-river",
        bic: "PRMBCNSH",
        entity: "cf-cn",
        currency: "CNY",
        account: "6228041790001234586",
        time_zone: "Asia/Shanghai",
        scheme: Scheme::Digits,
        prefix: "622888",
        style: Style::Slash,
        rest: Rest::Weekend,
        markets: &["CN"],
        receipts: 34,
        euro: 782,
        refs: false,
    },
    Plan {
        code: "kw-kwd",
        name: "Dinar collections, Gulf",
        bank: "gulf-pearl",
        bic: "GPBKKWKW",
        entity: "cf-kw",
        currency: "KWD",
        account: "KW72GPBK0000000000000144170093",
        time_zone: "Asia/Kuwait",
        scheme: Scheme::Iban,
        prefix: "KWGPBK00000000000088",
        style: Style::Slash,
        rest: Rest::Friday,
        markets: &["KW", "AE"],
        receipts: 11,
        euro: 334,
        refs: true,
    },
];

/// How big a product is: its share of receipts and of openings.
pub(super) fn weight(product: &str) -> u64 {
    PRODUCTS.iter().find(|p| p.0 == product).map_or(0, |p| p.2)
}

/// All masters with their leaves, in the order of the file.
pub(super) fn masters() -> Vec<Master> {
    PLANS.iter().map(master).collect()
}

fn master(plan: &'static Plan) -> Master {
    let currency: Currency = plan.currency.parse().expect("the demo's currencies are of ISO 4217");
    let mut master = Master {
        plan,
        currency,
        scheme: plan.scheme,
        leaves: Vec::new(),
        pool: 4_800_000 * plan.euro,
        fees: 40_000 * plan.euro,
        unplaced: if plan.code == "us-usd" { 1_234_567 } else { 0 },
    };
    for (product, _, weight, places) in &PRODUCTS {
        let here: Vec<&'static str> = places.split(' ').filter(|m| plan.markets.contains(m)).collect();
        for market in &here {
            master.add(product, market, "operating", *weight);
        }
        if matches!(*product, "tiktok" | "douyin") && !here.is_empty() {
            master.add(product, plan.markets[0], "creators", 0);
            master.add(product, plan.markets[0], "returned", 0);
        }
    }
    master
}

impl Master {
    fn add(&mut self, product: &'static str, market: &'static str, purpose: &'static str, weight: u64) {
        let plan = self.plan;
        // The chart hands out serials in the order of the tables.
        let serial = u64::try_from(self.leaves.len()).unwrap_or(0) + 1;
        let number = numbers::generate(plan.scheme, plan.prefix, serial).expect("the demo's ranges have room");
        let main = if market == plan.markets[0] { 3 } else { 1 };
        let euros = i64::try_from(weight * 21_000 * main + serial * 137).unwrap_or(0);
        let opening = match purpose {
            "creators" => 2_600_000 * plan.euro,
            "returned" => 0,
            _ => euros * plan.euro + i64::from(serial % 7 == 3) * 41,
        };
        self.leaves.push(Leaf {
            code: format!("{}/{product}/{}/{purpose}", plan.code, market.to_ascii_lowercase()),
            product,
            market,
            purpose,
            owner: (product == "pico" && plan.code != "cn-cny").then_some("cf-pico"),
            number,
            opening,
        });
    }
}

/// The treasury file.
pub(super) fn toml(masters: &[Master]) -> String {
    let mut out = String::from("# The treasury of the demo: invented banks, entities and accounts.\n");
    write!(out, "\nreporting_currency = \"EUR\"\n\n[rates]\nsource = \"{RATES_SOURCE}\"\n")
        .expect("a String takes all");
    let told = write_tables(&mut out, masters);
    told.expect("a String takes all");
    out.push_str(&rulebook::toml(masters));
    out
}

fn write_tables(out: &mut String, masters: &[Master]) -> std::fmt::Result {
    for (code, name, country) in ENTITIES {
        write!(out, "\n[[entity]]\ncode = \"{code}\"\nname = \"{name}\"\ncountry = \"{country}\"\n")?;
    }
    for (code, name, bic, country) in BANKS {
        write!(out, "\n[[bank]]\ncode = \"{code}\"\nname = \"{name}\"\nbic = \"{bic}\"\ncountry = \"{country}\"\n")?;
    }
    for (code, name, _, _) in PRODUCTS {
        write!(out, "\n[[product]]\ncode = \"{code}\"\nname = \"{name}\"\n")?;
    }
    for (code, name) in MARKETS {
        write!(out, "\n[[market]]\ncode = \"{code}\"\nname = \"{name}\"\n")?;
    }
    for master in masters {
        write_master(out, master)?;
    }
    for master in masters {
        for leaf in &master.leaves {
            let (plan, product, market) = (master.plan, leaf.product, leaf.market);
            write!(
                out,
                "\n[[sub_account]]\nmaster = \"{}\"\nproduct = \"{product}\"\nmarket = \"{market}\"\n",
                plan.code
            )?;
            match leaf.purpose {
                "creators" => out.push_str("purpose = \"creators\"\nname = \"Float for creator payouts\"\n"),
                "returned" => out.push_str("purpose = \"returned\"\nname = \"Payouts that came back\"\n"),
                _ => {}
            }
            if let Some(owner) = leaf.owner {
                writeln!(out, "owner = \"{owner}\"")?;
            }
        }
    }
    Ok(())
}

fn write_master(out: &mut String, master: &Master) -> std::fmt::Result {
    let plan = master.plan;
    let text = |amount: i64| Minor(amount).to_text(master.currency);
    write!(out, "\n[[master]]\ncode = \"{}\"\nname = \"{}\"\nbank = \"{}\"\n", plan.code, plan.name, plan.bank)?;
    write!(out, "entity = \"{}\"\ncurrency = \"{}\"\naccount = \"{}\"\n", plan.entity, plan.currency, plan.account)?;
    write!(out, "time_zone = \"{}\"\ncut_over_on = \"{CUT_OVER}\"\n", plan.time_zone)?;
    writeln!(out, "opening = \"{}\"", text(master.opening()))?;
    writeln!(out, "numbers = {{ scheme = \"{}\", prefix = \"{}\" }}", plan.scheme.as_str(), plan.prefix)?;
    out.push_str("opening_shares = [\n");
    for (house, amount) in [("pool", master.pool), ("fees", master.fees)] {
        writeln!(out, "    {{ leaf = \"{}/house/{house}\", amount = \"{}\" }},", plan.code, text(amount))?;
    }
    for leaf in master.leaves.iter().filter(|leaf| leaf.opening != 0) {
        writeln!(out, "    {{ leaf = \"{}\", amount = \"{}\" }},", leaf.code, text(leaf.opening))?;
    }
    out.push_str("]\n");
    Ok(())
}
