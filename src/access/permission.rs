//! What can be done, one permission each, and the duties that must be in different hands.
//!
//! A surface names the permission of each thing that it offers; there is no "may do all". Pure.

use std::fmt;
use std::str::FromStr;

/// A part of the work that one person must not hold together with certain others (`segregation.rs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Duty {
    /// Asks for money to move.
    Request,
    /// Decides on what others have asked for.
    Approve,
    /// Says where money may go.
    PayeeChange,
    /// Decides on where money may go.
    PayeeApprove,
    /// Sends payments to the bank.
    Release,
    /// Says that the books agree with the bank.
    Reconcile,
    /// Says who may do what.
    AccessAdmin,
    /// Says by which rules and limits it is done.
    Rules,
}

impl Duty {
    /// Every duty.
    pub const ALL: [Duty; 8] = [
        Duty::Request,
        Duty::Approve,
        Duty::PayeeChange,
        Duty::PayeeApprove,
        Duty::Release,
        Duty::Reconcile,
        Duty::AccessAdmin,
        Duty::Rules,
    ];

    /// Its stable code, by which rules name it.
    pub fn code(self) -> &'static str {
        match self {
            Duty::Request => "request",
            Duty::Approve => "approve",
            Duty::PayeeChange => "payee-change",
            Duty::PayeeApprove => "payee-approve",
            Duty::Release => "release",
            Duty::Reconcile => "reconcile",
            Duty::AccessAdmin => "access-admin",
            Duty::Rules => "rules",
        }
    }

    /// As the beginning of a sentence: who ...
    pub fn who(self) -> &'static str {
        match self {
            Duty::Request => "asks for money to move",
            Duty::Approve => "approves requests or changes",
            Duty::PayeeChange => "changes payees",
            Duty::PayeeApprove => "approves payees",
            Duty::Release => "releases payments",
            Duty::Reconcile => "signs off reconciliations",
            Duty::AccessAdmin => "says who may do what",
            Duty::Rules => "changes rules, limits or the chart",
        }
    }
}

macro_rules! permissions {
    ($($name:ident $code:literal $says:literal $duty:expr, $people_only:literal;)*) => {
        /// One thing that can be done.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Permission {
            $(#[doc = $says] $name,)*
        }

        impl Permission {
            /// Every permission, in the order in which tables show them.
            pub const ALL: &'static [Permission] = &[$(Permission::$name,)*];

            /// Its stable code: the thing and what is done with it.
            pub fn code(self) -> &'static str {
                match self { $(Permission::$name => $code,)* }
            }

            /// What it allows, for people.
            pub fn says(self) -> &'static str {
                match self { $(Permission::$name => $says,)* }
            }

            /// The duty that it is part of.
            pub fn duty(self) -> Option<Duty> {
                match self { $(Permission::$name => $duty,)* }
            }

            /// Whether only a person may hold it: what takes judgement or changes who may do what is not for a key.
            pub fn people_only(self) -> bool {
                match self { $(Permission::$name => $people_only,)* }
            }
        }
    };
}

permissions! {
    PositionsRead "positions.read" "See what products have, and masters against their bank" None, false;
    AccountsRead "accounts.read" "See accounts, their postings and holds" None, false;
    JournalRead "journal.read" "See and export entries of the journal" None, false;
    ChartRead "chart.read" "See entities, banks, masters, products and sub-accounts" None, false;
    ChartChange "chart.change" "Make and change masters, products, sub-accounts, calendars and settings" Some(Duty::Rules), true;
    LeavesFreeze "leaves.freeze" "Freeze a leaf: an emergency brake" None, true;
    LeavesChange "leaves.change" "Unfreeze, close and reopen leaves, and change their limits" Some(Duty::Rules), true;
    RatesRead "rates.read" "See rates between currencies" None, false;
    RatesImport "rates.import" "Take rates in" None, false;
    StatementsRead "statements.read" "See statements, gaps, and what is due" None, false;
    StatementsImport "statements.import" "Take bank files in" None, false;
    StatementsDecide "statements.decide" "Accept, reject and withdraw what waits for a person" None, true;
    ProfilesChange "profiles.change" "Change how a bank's files are read, and what notified means" Some(Duty::Rules), true;
    SuspenseRead "suspense.read" "See what waits in suspense, with suggestions" None, false;
    LinesRoute "lines.route" "Place and re-route lines" None, true;
    RulesRead "rules.read" "See allocation rules and back-tests" None, false;
    RulesChange "rules.change" "Change allocation rules and apply back-tests" Some(Duty::Rules), true;
    ExpectationsRead "expectations.read" "See what should come" None, false;
    ExpectationsChange "expectations.change" "Announce and cancel expected receipts" None, false;
    ExpectationsMeet "expectations.meet" "Say by hand what met an expected receipt" None, true;
    SettlementsRead "settlements.read" "See settlement files" None, false;
    SettlementsImport "settlements.import" "Take settlement files in" None, false;
    SettlementsApply "settlements.apply" "Carry a settlement out on a line, or cancel it" None, true;
    TransfersPost "transfers.post" "Move money between leaves of one master at once; between owners only by a key" Some(Duty::Request), false;
    RequestsRead "requests.read" "See fund requests" None, false;
    RequestsMake "requests.make" "Ask for drawdowns, transfers and payouts; hold money for them" Some(Duty::Request), false;
    RequestsApprove "requests.approve" "Decide on fund requests" Some(Duty::Approve), true;
    ChangesApprove "changes.approve" "Decide on changes of rules, limits, roles and routes" Some(Duty::Approve), true;
    PoliciesRead "policies.read" "See approval policies and limits" None, false;
    PoliciesChange "policies.change" "Change approval policies and limits" Some(Duty::Rules), true;
    PayeesRead "payees.read" "See payees" None, false;
    PayeesChange "payees.change" "Add and change payees" Some(Duty::PayeeChange), true;
    PayeesApprove "payees.approve" "Decide on payees" Some(Duty::PayeeApprove), true;
    PaymentsRead "payments.read" "See payments and batches" None, false;
    PaymentsRelease "payments.release" "Release batches to the bank" Some(Duty::Release), true;
    PaymentsStop "payments.stop" "Stop all outflows: an emergency brake" None, true;
    PaymentsRestart "payments.restart" "Let outflows go on" Some(Duty::Release), true;
    SweepsRead "sweeps.read" "See sweeps and their plans" None, false;
    SweepsChange "sweeps.change" "Change sweeps" Some(Duty::Rules), true;
    SweepsRun "sweeps.run" "Run a sweep's plan now" Some(Duty::Request), true;
    ReconciliationRead "reconciliation.read" "See matches, breaks and days" None, false;
    ReconciliationPrepare "reconciliation.prepare" "Match, explain breaks, prepare days" Some(Duty::Reconcile), true;
    ReconciliationSign "reconciliation.sign" "Sign days and close periods" Some(Duty::Reconcile), true;
    EventsRead "events.read" "Read the feed of events, the audit record" None, false;
    EventsSubscribe "events.subscribe" "Have events sent: webhooks" None, false;
    ProofRun "proof.run" "Run check and verify, read seals" None, false;
    PeopleRead "people.read" "See people, their roles and sessions" None, false;
    PeopleManage "people.manage" "Add, disable and reset people; grant and revoke roles" Some(Duty::AccessAdmin), true;
    KeysManage "keys.manage" "Make, rotate and revoke API keys" Some(Duty::AccessAdmin), true;
    RolesChange "roles.change" "Change custom roles" Some(Duty::AccessAdmin), true;
    OperationsRead "operations.read" "See health and metrics, no money" None, false;
    OperationsRun "operations.run" "Back up and restore, run housekeeping" None, true;
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl FromStr for Permission {
    type Err = String;

    fn from_str(text: &str) -> Result<Permission, String> {
        let found = Permission::ALL.iter().copied().find(|p| p.code() == text);
        found.ok_or_else(|| {
            format!("there is no permission \"{text}\"; `tributary roles list --permissions` lists them")
        })
    }
}

/// A set of permissions, as one number: checked on every request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Permissions(u64);

impl Permissions {
    /// Every permission.
    pub fn all() -> Self {
        Permission::ALL.iter().copied().collect()
    }

    fn bit(permission: Permission) -> u64 {
        let place = Permission::ALL.iter().position(|p| *p == permission).unwrap_or(0);
        1 << place
    }

    /// Whether it is in there.
    pub fn has(self, permission: Permission) -> bool {
        self.0 & Permissions::bit(permission) != 0
    }

    /// Those of either.
    pub fn with(self, other: Permissions) -> Self {
        Permissions(self.0 | other.0)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// One after another, in the order of [`Permission::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |p| self.has(*p))
    }

    /// As stored: codes with blanks between.
    pub fn to_text(self) -> String {
        self.iter().map(Permission::code).collect::<Vec<_>>().join(" ")
    }

    /// From storage: what this version does not know allows nothing.
    pub fn from_text(text: &str) -> Self {
        text.split(' ').filter_map(|code| code.parse().ok()).collect()
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(all: I) -> Self {
        Permissions(all.into_iter().fold(0, |bits, p| bits | Permissions::bit(p)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_permission_has_a_code_of_its_own_and_a_place_in_the_set() {
        assert!(Permission::ALL.len() <= 64);
        let codes: BTreeSet<&str> = Permission::ALL.iter().map(|p| p.code()).collect();
        assert_eq!(codes.len(), Permission::ALL.len());
        for one in Permission::ALL {
            assert_eq!(one.code().parse(), Ok(*one));
            let set = Permissions::from_iter([*one]);
            assert_eq!((set.iter().collect::<Vec<_>>(), Permissions::from_text(&set.to_text())), (vec![*one], set));
        }
        assert_eq!(Permissions::from_text(&Permissions::all().to_text()), Permissions::all());
        assert!(Permissions::from_text("money.print").is_empty());
    }

    #[test]
    fn a_key_may_request_and_read_but_hold_no_other_duty() {
        for p in Permission::ALL {
            assert!(p.people_only() || matches!(p.duty(), None | Some(Duty::Request)), "{p}");
            assert!(!(p.people_only() && p.code().ends_with(".read")), "{p}");
        }
    }
}
