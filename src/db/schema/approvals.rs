//! The tables of approvals.

diesel::table! {
    proposals (id) {
        id -> Text,
        kind -> Text,
        subject -> Text,
        content -> Text,
        effect -> Text,
        digest -> Text,
        targets -> Text,
        policy -> Text,
        maker -> Text,
        maker_person -> Nullable<Text>,
        made_at -> Timestamp,
        expires_at -> Timestamp,
        state -> Text,
        ended_at -> Nullable<Timestamp>,
        why -> Nullable<Text>,
    }
}

diesel::table! {
    decisions (proposal, place) {
        proposal -> Text,
        place -> BigInt,
        person -> Text,
        digest -> Text,
        decision -> Text,
        reason -> Nullable<Text>,
        decided_at -> Timestamp,
    }
}

diesel::table! {
    approval_policies (kind, version) {
        kind -> Text,
        version -> BigInt,
        needs -> Text,
        expires_days -> BigInt,
        made_by -> Text,
        made_at -> Timestamp,
    }
}
