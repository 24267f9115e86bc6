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
        ceiling -> Nullable<BigInt>,
        movement_limit -> Nullable<BigInt>,
        expires_at -> Nullable<Timestamp>,
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

diesel::table! {
    entities (id) {
        id -> Text,
        code -> Text,
        name -> Text,
        country -> Text,
        metadata -> Nullable<Text>,
    }
}

diesel::table! {
    banks (id) {
        id -> Text,
        code -> Text,
        name -> Text,
        bic -> Nullable<Text>,
        country -> Text,
        metadata -> Nullable<Text>,
    }
}

diesel::table! {
    products (id) {
        id -> Text,
        code -> Text,
        name -> Text,
        metadata -> Nullable<Text>,
    }
}

diesel::table! {
    markets (code) {
        code -> Text,
        name -> Text,
    }
}

diesel::table! {
    masters (id) {
        id -> Text,
        code -> Text,
        name -> Text,
        bank -> Text,
        entity -> Text,
        currency -> Text,
        account_number -> Text,
        time_zone -> Text,
        cut_over_on -> Date,
        opening -> BigInt,
        number_scheme -> Text,
        number_prefix -> Text,
        numbers_given -> BigInt,
        book -> BigInt,
        account -> BigInt,
        suspense -> BigInt,
        in_transit -> BigInt,
        line_count -> BigInt,
        metadata -> Nullable<Text>,
        calendar -> Text,
        statement_by -> Nullable<Text>,
        report_by -> Nullable<Text>,
        revision -> BigInt,
    }
}

diesel::table! {
    sub_accounts (id) {
        id -> Text,
        master -> Text,
        parent -> Nullable<Text>,
        code -> Text,
        name -> Text,
        kind -> Text,
        product -> Nullable<Text>,
        market -> Nullable<Text>,
        owner -> Text,
        account -> Nullable<BigInt>,
        virtual_number -> Nullable<Text>,
        metadata -> Nullable<Text>,
    }
}

diesel::table! {
    statement_files (id) {
        id -> Text,
        sha256 -> Text,
        name -> Text,
        channel -> Text,
        origin -> Text,
        format -> Text,
        size -> BigInt,
        received_at -> Timestamp,
        profile -> Nullable<Text>,
        state -> Text,
        problems -> Text,
        revision -> BigInt,
    }
}

diesel::table! {
    missing_statements (master, role, day) {
        master -> Text,
        role -> Text,
        day -> Date,
        due_at -> Timestamp,
        told_at -> Timestamp,
        ended -> Nullable<Text>,
        ended_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    statement_chunks (file, seq) {
        file -> Text,
        seq -> BigInt,
        bytes -> Binary,
    }
}

diesel::table! {
    statements (id) {
        id -> Text,
        file -> Text,
        place -> BigInt,
        master -> Nullable<Text>,
        account_number -> Nullable<Text>,
        currency -> Nullable<Text>,
        format -> Text,
        role -> Text,
        message_id -> Nullable<Text>,
        statement_id -> Nullable<Text>,
        number -> Nullable<BigInt>,
        page -> Nullable<BigInt>,
        opening -> Nullable<BigInt>,
        opening_on -> Nullable<Date>,
        opening_carried -> Bool,
        closing -> Nullable<BigInt>,
        closing_on -> Nullable<Date>,
        closing_carried -> Bool,
        first_day -> Nullable<Date>,
        last_day -> Nullable<Date>,
        line_count -> BigInt,
        booked_count -> BigInt,
        credit_total -> BigInt,
        debit_total -> BigInt,
        content -> Binary,
        state -> Text,
        same_as -> Nullable<Text>,
        problems -> Text,
        decided_by -> Nullable<Text>,
        decided_at -> Nullable<Timestamp>,
        reason -> Nullable<Text>,
    }
}

diesel::table! {
    lines (id) {
        id -> Text,
        master -> Text,
        statement -> Text,
        place -> BigInt,
        booked_on -> Date,
        valued_on -> Date,
        amount -> BigInt,
        identity -> Binary,
        facet -> Text,
        posting -> Text,
        reversal -> Bool,
        bank_ref -> Nullable<Text>,
        owner_ref -> Nullable<Text>,
        end_to_end_id -> Nullable<Text>,
        code -> Nullable<Text>,
        counterparty_name -> Nullable<Text>,
        counterparty_account -> Nullable<Text>,
        ultimate_name -> Nullable<Text>,
        own_account -> Nullable<Text>,
        creditor_reference -> Nullable<Text>,
        remittance -> Nullable<Text>,
        info -> Nullable<Text>,
        return_reason -> Nullable<Text>,
        detail_count -> BigInt,
        unconfirmed -> Bool,
        replaces -> Nullable<Text>,
        charges -> Nullable<BigInt>,
    }
}

diesel::table! {
    line_facets (statement, place) {
        statement -> Text,
        place -> BigInt,
        line -> Text,
        kind -> Text,
    }
}

diesel::table! {
    line_days (line) {
        line -> Text,
        master -> Text,
        booked_on -> Date,
    }
}

diesel::table! {
    pending_lines (id) {
        id -> Text,
        master -> Text,
        statement -> Text,
        place -> BigInt,
        expected_on -> Date,
        amount -> BigInt,
        identity -> Binary,
        bank_ref -> Nullable<Text>,
        end_to_end_id -> Nullable<Text>,
        counterparty_name -> Nullable<Text>,
        counterparty_account -> Nullable<Text>,
        remittance -> Nullable<Text>,
        state -> Text,
        line -> Nullable<Text>,
    }
}

diesel::table! {
    bank_profiles (master) {
        master -> Text,
        notified -> Text,
        reports -> Text,
        contradictions -> Text,
    }
}

diesel::table! {
    line_details (line, place) {
        line -> Text,
        place -> BigInt,
        amount -> Nullable<BigInt>,
        end_to_end_id -> Nullable<Text>,
        bank_ref -> Nullable<Text>,
        counterparty_name -> Nullable<Text>,
        counterparty_account -> Nullable<Text>,
        own_account -> Nullable<Text>,
        creditor_reference -> Nullable<Text>,
        remittance -> Nullable<Text>,
        return_reason -> Nullable<Text>,
        ultimate_name -> Nullable<Text>,
        charges -> Nullable<BigInt>,
    }
}

diesel::table! {
    rules (code, version) {
        code -> Text,
        version -> BigInt,
        priority -> BigInt,
        state -> Text,
        definition -> Text,
        made_by -> Text,
        made_at -> Timestamp,
    }
}

diesel::table! {
    own_transfers (line, detail) {
        line -> Text,
        detail -> BigInt,
        master -> Text,
        other -> Text,
        amount -> BigInt,
        valued_on -> Date,
        end_to_end_id -> Nullable<Text>,
        matched_line -> Nullable<Text>,
        matched_detail -> Nullable<BigInt>,
    }
}

diesel::table! {
    routes (line, seq) {
        line -> Text,
        seq -> BigInt,
        detail -> Nullable<BigInt>,
        amount -> BigInt,
        entry -> BigInt,
        evidence -> Text,
        rule -> Nullable<Text>,
        version -> Nullable<BigInt>,
        matched -> Text,
        sentence -> Text,
        shares -> Text,
        suspense -> Bool,
        decided_by -> Text,
        decided_at -> Timestamp,
    }
}

diesel::table! {
    expectations (id) {
        id -> Text,
        key -> Text,
        master -> Text,
        account -> BigInt,
        least -> BigInt,
        most -> BigInt,
        first_on -> Date,
        last_on -> Date,
        reference -> Nullable<Text>,
        reference_key -> Nullable<Text>,
        counterparty_account -> Nullable<Text>,
        counterparty_key -> Nullable<Text>,
        note -> Nullable<Text>,
        metadata -> Nullable<Text>,
        state -> Text,
        line -> Nullable<Text>,
        detail -> Nullable<BigInt>,
        route -> Nullable<BigInt>,
        reason -> Nullable<Text>,
        made_by -> Text,
        made_at -> Timestamp,
    }
}

diesel::table! {
    settlements (id) {
        id -> Text,
        code -> Text,
        master -> Text,
        platform -> Text,
        payer_account -> Nullable<Text>,
        reference -> Nullable<Text>,
        total -> BigInt,
        paid_on -> Date,
        state -> Text,
        line -> Nullable<Text>,
        detail -> Nullable<BigInt>,
        route -> Nullable<BigInt>,
        entry -> Nullable<BigInt>,
        file_name -> Text,
        made_by -> Text,
        made_at -> Timestamp,
        decided_by -> Nullable<Text>,
        reason -> Nullable<Text>,
    }
}

diesel::table! {
    settlement_lines (settlement, place) {
        settlement -> Text,
        place -> BigInt,
        account -> BigInt,
        gross -> BigInt,
        commission -> BigInt,
        tax -> BigInt,
        net -> BigInt,
        reference -> Nullable<Text>,
        happened_on -> Nullable<Date>,
    }
}

diesel::table! {
    settings (name) {
        name -> Text,
        value -> Text,
    }
}

diesel::table! {
    calendars (code) {
        code -> Text,
        name -> Text,
        weekend -> Text,
    }
}

diesel::table! {
    calendar_holidays (calendar, day) {
        calendar -> Text,
        day -> Date,
        name -> Text,
    }
}

diesel::table! {
    rate_sources (code) {
        code -> Text,
        base -> Text,
    }
}

diesel::table! {
    rates (source, currency, day, version) {
        source -> Text,
        currency -> Text,
        day -> Date,
        version -> BigInt,
        rate -> Text,
        recorded_at -> Timestamp,
    }
}

diesel::table! {
    people (id) {
        id -> Text,
        login -> Text,
        name -> Text,
        state -> Text,
        password -> Nullable<Text>,
        totp -> Nullable<Binary>,
        totp_step -> Nullable<BigInt>,
        made_by -> Text,
        made_at -> Timestamp,
    }
}

diesel::table! {
    invitations (hash) {
        hash -> Binary,
        person -> Nullable<Text>,
        made_by -> Text,
        made_at -> Timestamp,
        expires_at -> Timestamp,
    }
}

diesel::table! {
    recovery_codes (person, hash) {
        person -> Text,
        hash -> Binary,
        used_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    sign_in_failures (login, place) {
        login -> Binary,
        place -> Binary,
        count -> BigInt,
        last_at -> Timestamp,
        known -> Bool,
    }
}

diesel::table! {
    identities (id) {
        id -> Text,
        person -> Text,
        issuer -> Text,
        subject -> Text,
        salt -> Binary,
        made_by -> Text,
        made_at -> Timestamp,
        unlinked_by -> Nullable<Text>,
        unlinked_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    used_sign_ins (digest) {
        digest -> Binary,
        used_at -> Timestamp,
    }
}

diesel::table! {
    sessions (id) {
        id -> Text,
        hash -> Binary,
        person -> Text,
        device -> Text,
        made_at -> Timestamp,
        last_used_at -> Timestamp,
        idle_seconds -> BigInt,
        expires_at -> Timestamp,
        ended_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    api_keys (id) {
        id -> Text,
        name -> Text,
        owner -> Text,
        hash -> Binary,
        made_by -> Text,
        made_at -> Timestamp,
        expires_at -> Timestamp,
        last_used_at -> Nullable<Timestamp>,
        revoked_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    roles (code) {
        code -> Text,
        name -> Text,
        permissions -> Text,
    }
}

diesel::table! {
    grants (id) {
        id -> Text,
        person -> Nullable<Text>,
        api_key -> Nullable<Text>,
        role -> Text,
        scope -> Text,
        made_by -> Text,
        made_at -> Timestamp,
        revoked_by -> Nullable<Text>,
        revoked_at -> Nullable<Timestamp>,
    }
}

mod approvals;
pub use approvals::{approval_policies, decisions, proposals};
diesel::table! {
    idempotency_keys (principal, key) {
        principal -> Text,
        key -> Text,
        operation -> Text,
        digest -> Binary,
        status -> BigInt,
        answer -> Text,
        made_at -> Timestamp,
    }
}

diesel::table! {
    server_secrets (name) {
        name -> Text,
        value -> Binary,
    }
}

diesel::table! {
    webhook_endpoints (id) {
        id -> Text,
        url -> Text,
        kinds -> Text,
        owner -> Text,
        state -> Text,
        why_off -> Nullable<Text>,
        secret -> Binary,
        previous_secret -> Nullable<Binary>,
        previous_until -> Nullable<Timestamp>,
        made_by -> Text,
        made_at -> Timestamp,
    }
}

diesel::table! {
    webhook_cursors (id) {
        id -> Text,
        endpoint -> Text,
        at -> BigInt,
        last -> Nullable<BigInt>,
        failures -> BigInt,
        due_at -> Nullable<Timestamp>,
        lease_owner -> Nullable<Text>,
        lease_until -> Nullable<Timestamp>,
    }
}

diesel::table! {
    webhook_deliveries (id) {
        id -> Text,
        endpoint -> Text,
        message -> Text,
        event -> Nullable<BigInt>,
        attempt -> BigInt,
        sent_at -> Timestamp,
        status -> Nullable<BigInt>,
        milliseconds -> BigInt,
        bytes -> BigInt,
        error -> Nullable<Text>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    seals,
    events,
    books,
    accounts,
    balances,
    entries,
    postings,
    holds,
    day_totals,
    jobs,
    entities,
    banks,
    products,
    markets,
    masters,
    sub_accounts,
    statement_files,
    statement_chunks,
    missing_statements,
    statements,
    lines,
    line_facets,
    line_days,
    line_details,
    pending_lines,
    bank_profiles,
    rules,
    routes,
    expectations,
    settlements,
    settlement_lines,
    settings,
    calendars,
    calendar_holidays,
    rate_sources,
    rates,
    people,
    invitations,
    recovery_codes,
    sign_in_failures,
    identities,
    used_sign_ins,
    sessions,
    api_keys,
    roles,
    grants,
    proposals,
    decisions,
    approval_policies,
    idempotency_keys,
    server_secrets,
    webhook_endpoints,
    webhook_cursors,
    webhook_deliveries,
);
