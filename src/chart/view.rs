//! The chart as somebody sees it: what their scope covers, and of the rest only what they need to read it: the master that a leaf
//! of theirs lies in is not theirs to see, but its code stands in the leaf's path.

use super::store::{self, BankRow, EntityRow, MarketRow, MasterRow, ProductRow, SubAccountRow};
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::scope::{Guarded, Placed, Scope, Target, seen};
use std::collections::{HashMap, HashSet};

/// The chart, as far as a scope covers it, each list by code.
#[derive(Debug, Default)]
pub struct SeenChart {
    /// Those covered, and owners of what is.
    pub entities: Vec<EntityRow>,
    /// Those of masters that are covered; of the whole treasury all.
    pub banks: Vec<BankRow>,
    /// Those covered, and those of leaves that are.
    pub products: Vec<ProductRow>,
    /// Those of leaves that are covered; of the whole treasury all.
    pub markets: Vec<MarketRow>,
    /// Those covered.
    pub masters: Vec<MasterRow>,
    /// Those covered.
    pub sub_accounts: Vec<SubAccountRow>,
    codes: HashMap<String, String>,
}

impl SeenChart {
    /// The code of an entity, bank, product, master or sub-account, by its id.
    pub fn code(&self, id: &str) -> String {
        self.codes.get(id).cloned().unwrap_or_default()
    }
}

struct PlacedSub {
    row: SubAccountRow,
    product: Option<String>,
    entity: Option<String>,
    master: Option<String>,
}

impl Placed for PlacedSub {
    fn target(&self) -> Target<'_> {
        Target {
            product: self.product.as_deref(),
            entity: self.entity.as_deref(),
            master: self.master.as_deref(),
            path: Some(&self.row.code),
        }
    }
}

struct PlacedMaster {
    row: MasterRow,
    entity: String,
}

impl Placed for PlacedMaster {
    fn target(&self) -> Target<'_> {
        Target::master(&self.row.code, &self.entity)
    }
}

/// The masters that the scope covers, by code.
pub fn masters_seen(conn: &mut Conn, scope: &Scope) -> Result<Vec<MasterRow>> {
    let entities: HashMap<String, String> = store::entities(conn)?.into_iter().map(|e| (e.id, e.code)).collect();
    let placed = store::masters(conn)?.into_iter().map(|row| {
        let entity = entities.get(&row.entity).cloned().unwrap_or_default();
        Guarded::new(PlacedMaster { row, entity })
    });
    Ok(seen(placed, scope).into_iter().map(|m| m.row).collect())
}

/// The master with this code, if the scope covers it.
pub fn master_seen(conn: &mut Conn, scope: &Scope, code: &str) -> Result<MasterRow> {
    let found = masters_seen(conn, scope)?.into_iter().find(|m| m.code == code);
    found.ok_or_else(|| Error::NotFound(format!("there is no master {code}")))
}

/// All of it that the scope covers.
pub fn chart_seen(conn: &mut Conn, scope: &Scope) -> Result<SeenChart> {
    let (entities, banks, products) = (store::entities(conn)?, store::banks(conn)?, store::products(conn)?);
    let (masters, subs) = (store::masters(conn)?, store::sub_accounts(conn)?);
    let mut codes: HashMap<String, String> = HashMap::new();
    codes.extend(entities.iter().map(|r| (r.id.clone(), r.code.clone())));
    codes.extend(banks.iter().map(|r| (r.id.clone(), r.code.clone())));
    codes.extend(products.iter().map(|r| (r.id.clone(), r.code.clone())));
    codes.extend(masters.iter().map(|r| (r.id.clone(), r.code.clone())));
    codes.extend(subs.iter().map(|r| (r.id.clone(), r.code.clone())));
    let code = |id: &str| codes.get(id).cloned();
    let placed = subs.into_iter().map(|row| {
        let product = row.product.as_deref().and_then(code);
        Guarded::new(PlacedSub { product, entity: code(&row.owner), master: code(&row.master), row })
    });
    let sub_accounts: Vec<SubAccountRow> = seen(placed, scope).into_iter().map(|p| p.row).collect();
    let placed = masters.into_iter().map(|row| {
        let entity = code(&row.entity).unwrap_or_default();
        Guarded::new(PlacedMaster { row, entity })
    });
    let masters: Vec<MasterRow> = seen(placed, scope).into_iter().map(|m| m.row).collect();
    let all = scope.is_everything();
    let owners: HashSet<&str> =
        sub_accounts.iter().map(|s| s.owner.as_str()).chain(masters.iter().map(|m| m.entity.as_str())).collect();
    let of_leaves: HashSet<&str> = sub_accounts.iter().filter_map(|s| s.product.as_deref()).collect();
    let their_markets: HashSet<&str> = sub_accounts.iter().filter_map(|s| s.market.as_deref()).collect();
    let their_banks: HashSet<&str> = masters.iter().map(|m| m.bank.as_str()).collect();
    let own_entity = |e: &EntityRow| owners.contains(e.id.as_str()) || scope.covers(&Target::entity(&e.code));
    let own_product = |p: &ProductRow| of_leaves.contains(p.id.as_str()) || scope.covers(&Target::product(&p.code));
    Ok(SeenChart {
        entities: entities.into_iter().filter(own_entity).collect(),
        banks: banks.into_iter().filter(|b| all || their_banks.contains(b.id.as_str())).collect(),
        products: products.into_iter().filter(own_product).collect(),
        markets: store::markets(conn)?.into_iter().filter(|m| all || their_markets.contains(m.code.as_str())).collect(),
        masters,
        sub_accounts,
        codes,
    })
}
