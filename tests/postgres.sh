# A private PostgreSQL: its own folder, its own port on the loopback, gone when the script that sourced this ends.
# Needs tests/steps.sh. Trust on the loopback is enough for a server that lives for minutes and holds made-up money.

postgres_folder=
postgres_bin=
# Whom the server runs as when we are root, which it refuses to be.
postgres_user=

# postgres_start: exports TRIBUTARY_TEST_POSTGRES. The caller must have `trap postgres_stop EXIT`.
postgres_start() {
    find_postgres || install postgresql || fail_without_postgres
    find_postgres || fail_without_postgres
    if [ "$(id -u)" -eq 0 ]; then
        postgres_user=$(id -un postgres 2>/dev/null || id -un nobody 2>/dev/null) ||
            fail "PostgreSQL refuses to run as root and there is neither a user postgres nor nobody; run this as another user"
    fi
    postgres_folder=$(mktemp -d) || fail "cannot make a folder for PostgreSQL"
    if [ -n "$postgres_user" ]; then chown "$postgres_user" "$postgres_folder" || fail "cannot give $postgres_folder to $postgres_user"; fi
    as_server test -w "$postgres_folder" 2>/dev/null ||
        fail "the user ${postgres_user:-$(id -un)} cannot write to $postgres_folder; set TMPDIR to a folder that it can reach"

    as_server "$postgres_bin/initdb" --pgdata="$postgres_folder/data" --username=postgres --auth=trust --data-checksums \
        --locale=C.UTF-8 --encoding=UTF8 >"$postgres_folder.log" 2>&1 ||
        fail "initdb failed: $(cat "$postgres_folder.log")"
    # Durable on purpose: Tributary refuses a server that can lose an acknowledged commit, and is tested as it is run.
    as_server tee -a "$postgres_folder/data/postgresql.conf" >/dev/null <<'SETTINGS'
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
fsync = on
full_page_writes = on
synchronous_commit = on
SETTINGS
    printf 'host all postgres 127.0.0.1/32 trust\n' | as_server tee "$postgres_folder/data/pg_hba.conf" >/dev/null

    local attempt port
    for attempt in 1 2 3 4 5 6 7 8 9 10; do
        # Below the ports that the kernel hands out by itself.
        port=$((16384 + RANDOM % 16000))
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then continue; fi
        if as_server "$postgres_bin/pg_ctl" start --wait --timeout=60 --silent --pgdata="$postgres_folder/data" \
            --log="$postgres_folder/log" --options="-p $port" >"$postgres_folder.log" 2>&1; then
            export TRIBUTARY_TEST_POSTGRES="postgres://postgres@127.0.0.1:$port/postgres"
            say "$("$postgres_bin/postgres" --version) listens on port $port for this run"
            return
        fi
        # Another process may have taken the port since we looked; anything else will not mend itself.
        grep -q 'could not bind' "$postgres_folder/log" ||
            fail "PostgreSQL does not start: $(cat "$postgres_folder.log" "$postgres_folder/log")"
    done
    fail "found no free port on 127.0.0.1 in $attempt attempts"
}

# Stops the server and removes all of it; does nothing when none was started.
postgres_stop() {
    [ -n "$postgres_folder" ] || return 0
    if [ -e "$postgres_folder/data/postmaster.pid" ]; then
        # Nothing in there is worth a checkpoint.
        as_server "$postgres_bin/pg_ctl" stop --mode=immediate --timeout=60 --silent --pgdata="$postgres_folder/data" ||
            say "PostgreSQL in $postgres_folder could not be stopped"
    fi
    rm -rf -- "$postgres_folder" "$postgres_folder.log"
    postgres_folder=
}

# The newest folder with the server's programs.
find_postgres() {
    local folder
    while IFS= read -r folder; do
        if [ -x "$folder/initdb" ] && [ -x "$folder/pg_ctl" ] && [ -x "$folder/postgres" ]; then
            postgres_bin=$folder
            return
        fi
    done < <(
        # Debian keeps them out of PATH, in a folder per version.
        printf '%s\n' /usr/lib/postgresql/*/bin | sort --version-sort --reverse
        if command -v pg_config >/dev/null; then pg_config --bindir; fi
        if command -v initdb >/dev/null; then dirname "$(command -v initdb)"; fi
    )
    return 1
}

fail_without_postgres() {
    fail "the tests need a PostgreSQL server (13 or later), which is not here and could not be installed: install the" \
        "package postgresql (apt-get install postgresql) or put the folder of initdb and pg_ctl into PATH"
}

# Runs a command as the server's user, in the server's folder because that user may not be allowed to stand where we do.
# No subshell: bash skips those in an exit trap after an error.
as_server() {
    if [ -z "$postgres_user" ]; then
        env --chdir="$postgres_folder" "$@"
    elif command -v runuser >/dev/null; then
        env --chdir="$postgres_folder" runuser -u "$postgres_user" -- "$@"
    else
        env --chdir="$postgres_folder" su -s /bin/bash "$postgres_user" -c "$(printf '%q ' "$@")"
    fi
}
