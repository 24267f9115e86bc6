//! The tables of both databases, as diesel knows them. `migrations/` says why each column is there.

#![expect(missing_docs, reason = "the macro has no place for them; the migrations say what each column is")]

diesel::table! {
    seals (number) {
        number -> BigInt,
        recorded_at -> Timestamp,
        first_entry -> BigInt,
        last_entry -> BigInt,
        first_event -> BigInt,
        last_event -> BigInt,
        root -> Binary,
        hash -> Binary,
        peaks -> Binary,
    }
}

diesel::table! {
    events (number) {
        number -> BigInt,
        seal -> BigInt,
        actor -> Text,
        kind -> Text,
        subject -> Text,
        before -> Nullable<Text>,
        after -> Nullable<Text>,
    }
}

diesel::table! {
    books (id) {
        id -> BigInt,
        code -> Text,
        kind -> Text,
        currency -> Text,
    }
}

diesel::table! {
    accounts (id) {
        id -> BigInt,
        book -> BigInt,
        code -> Text,
        currency -> Text,
        exponent -> BigInt,
        kind -> Text,
        floor -> Nullable<BigInt>,
        state -> Text,
    }
}

diesel::table! {
    balances (account) {
        account -> BigInt,
        debits -> BigInt,
        credits -> BigInt,
        held -> BigInt,
        postings -> BigInt,
    }
}

diesel::table! {
    entries (number) {
        number -> BigInt,
        seal -> BigInt,
        kind -> Text,
        basis -> Text,
        description -> Text,
        booked_on -> Date,
        valued_on -> Date,
        cause_type -> Text,
        cause_id -> Text,
        cause_seq -> BigInt,
        reverses -> Nullable<BigInt>,
        actor -> Text,
        metadata -> Nullable<Text>,
    }
}

diesel::table! {
    postings (account, entry, leg) {
        account -> BigInt,
        entry -> BigInt,
        leg -> BigInt,
        amount -> BigInt,
        balance_after -> BigInt,
    }
}

diesel::table! {
    holds (account, entry, leg) {
        account -> BigInt,
        entry -> BigInt,
        leg -> BigInt,
        hold -> Text,
        kind -> Text,
        amount -> BigInt,
        held_after -> BigInt,
    }
}

diesel::table! {
    day_totals (account, day, recorded_on) {
        account -> BigInt,
        day -> Date,
        recorded_on -> Date,
        booked_debits -> BigInt,
        booked_credits -> BigInt,
        valued_debits -> BigInt,
        valued_credits -> BigInt,
    }
}

diesel::table! {
    jobs (id) {
        id -> Text,
        kind -> Text,
        subject -> Text,
        state -> Text,
        cursor -> Text,
        lease_owner -> Nullable<Text>,
        lease_until -> Nullable<Timestamp>,
        created_at -> Timestamp,
        problem -> Nullable<Text>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(seals, events, books, accounts, balances, entries, postings, holds, day_totals, jobs);
