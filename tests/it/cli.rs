//! The command line as a newcomer and a script meet it.

use std::path::Path;

use daybridge::connector::http::{HttpClient, HttpConfig, Request, Secret, StatusCode};
use daybridge_tests::program::{self, Outcome, Running};
use serde_json::Value;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

async fn run(arguments: &[&str]) -> Outcome {
    program::run(folder().path(), arguments).await
}

/// A server address that nobody listens at.
fn nobody() -> String {
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address").port();
    format!("127.0.0.1:{port}")
}

#[tokio::test]
async fn help_tells_a_newcomer_what_there_is() {
    let help = run(&["--help"]).await;
    assert_eq!((help.code, help.stderr.as_str()), (0, ""));
    assert_eq!(
        help.stdout,
        "\
Keeps appointments the same in Sage CRM and Microsoft Exchange, through rules compiled to WebAssembly

Usage: daybridge <COMMAND>

Commands:
  demo         See it work: two simulated servers, a host and a story, all on this machine
  init         Write a commented configuration file
  check        Sign in everywhere, match users with mailboxes, load the rules; changes nothing
  run          Keep both sides the same until stopped
  status       Show how a running host is: what waits where, and why
  sync         Run a pass now, or show what it would write (--dry-run)
  trace        Tell the life of one appointment, step by step
  rules        List, install, swap, roll back, compare, sign or build rules
  queue        List, retry or discard waiting and parked appointments
  users        List CRM users with their mailboxes, find mailboxes, take users in or out
  exchange     Carry mailboxes over to another Exchange server, or take them over from another host
  stop         Ask a running host to stop
  simulate     Run a simulated server that speaks the real protocol, for trying things out
  completions  Print a completion script for a shell
  help         Print this message or the help of the given subcommand(s)

Options:
  -h, --help     Print help
  -V, --version  Print version

First steps:
  daybridge demo                       see it work: two servers, a host and a story, all on this machine
  daybridge init daybridge.toml        write a commented configuration
  daybridge check                      sign in everywhere, match users, load the rules; changes nothing
  daybridge sync --dry-run             what a first pass would write and mail; changes nothing
  daybridge run                        keep both sides the same until stopped

Exit codes: 0 done; 1 something a person can mend, see the hint; 2 the program's own failure.
"
    );
}

#[tokio::test]
async fn a_mistyped_command_is_the_persons_to_mend() {
    let typo = run(&["quue", "list"]).await;
    assert_eq!((typo.code, typo.stdout.as_str()), (1, ""));
    assert!(typo.stderr.starts_with("error: unrecognized subcommand 'quue'\n"), "{}", typo.stderr);
    assert!(typo.stderr.contains("'queue'"), "{}", typo.stderr);
    assert_eq!(run(&[]).await.code, 1);
}

#[tokio::test]
async fn every_command_has_help() {
    let commands: [&[&str]; 28] = [
        &["demo"],
        &["init"],
        &["check"],
        &["run"],
        &["status"],
        &["sync"],
        &["trace"],
        &["rules", "list"],
        &["rules", "reload"],
        &["rules", "install"],
        &["rules", "swap"],
        &["rules", "rollback"],
        &["rules", "diff"],
        &["rules", "replay"],
        &["rules", "keygen"],
        &["rules", "sign"],
        &["rules", "build"],
        &["queue", "list"],
        &["queue", "retry"],
        &["users", "list"],
        &["users", "sync"],
        &["users", "enable"],
        &["users", "disable"],
        &["exchange", "migrate"],
        &["exchange", "claim"],
        &["stop"],
        &["simulate", "exchange"],
        &["completions"],
    ];
    for command in commands {
        let help = run(&[command, &["--help"]].concat()).await;
        assert_eq!(help.code, 0, "{command:?}");
        assert!(help.stdout.contains("Usage: daybridge"), "{command:?}: {}", help.stdout);
    }
}

#[tokio::test]
async fn init_writes_a_configuration_once() {
    let folder = folder();
    let first = program::run(folder.path(), &["init"]).await;
    assert_eq!((first.code, first.stderr.as_str()), (0, ""));
    assert_eq!(
        first.stdout,
        "Wrote daybridge.toml. Fill in the two servers, then: daybridge check --config daybridge.toml\n"
    );
    let written = std::fs::read_to_string(folder.path().join("daybridge.toml")).expect("the file");
    assert_eq!(written, daybridge::config::EXAMPLE);
    let second = program::run(folder.path(), &["init"]).await;
    assert_eq!(
        (second.code, second.stderr.as_str()),
        (1, "error: daybridge.toml exists already\nhint: name another file, or move it away\n")
    );
    assert_eq!(program::run(folder.path(), &["init", "--print"]).await.stdout, daybridge::config::EXAMPLE);
}

#[tokio::test]
async fn completions_are_for_the_shell_that_was_named() {
    let bash = run(&["completions", "bash"]).await;
    assert_eq!(bash.code, 0);
    assert!(bash.stdout.contains("complete -F _daybridge"), "{}", bash.stdout);
}

#[tokio::test]
async fn without_a_configuration_or_a_host_the_hint_says_what_to_do() {
    let folder = folder();
    let none = program::run(folder.path(), &["run"]).await;
    assert_eq!(none.code, 1);
    assert_eq!(
        none.stderr,
        "\
error: cannot read the configuration daybridge.toml
  Caused by: No such file or directory (os error 2)
hint: give the file with --config, or write one: daybridge init daybridge.toml
"
    );
    for command in [&["status"][..], &["queue", "list"], &["trace", "4711"], &["rules", "list"], &["stop"]] {
        let outcome = program::run(folder.path(), &[command, &["--data", "nowhere"]].concat()).await;
        assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""), "{command:?}");
        assert_eq!(
            outcome.stderr,
            "\
error: no host is running on the data folder nowhere
hint: start it: daybridge run --config FILE; or name the running host's folder with --data or --config
",
            "{command:?}"
        );
    }
}

/// The first line of a simulator, checked as far as every simulator has it.
async fn first_line(simulator: &mut Running, endpoint: &str) -> Value {
    let line = simulator.json().await;
    for key in ["url", endpoint] {
        assert!(line[key].as_str().is_some_and(|url| url.starts_with("http://127.0.0.1:")), "{key}: {line}");
    }
    let users = line["users"].as_array().expect("users");
    for user in users {
        for key in ["name", "address", "login", "password", "role"] {
            assert!(user[key].is_string(), "{key}: {user}");
        }
    }
    for role in ["user", "service"] {
        assert!(users.iter().any(|user| user["role"] == role), "nobody is a {role}: {line}");
    }
    line
}

fn service(line: &Value) -> (String, Secret) {
    let users = line["users"].as_array().expect("users");
    let user = users.iter().find(|user| user["role"] == "service").expect("a service account");
    let text = |key: &str| user[key].as_str().expect("a text").to_owned();
    (text("login"), Secret::new(text("password")))
}

async fn status_of(request: Request) -> StatusCode {
    HttpClient::new(HttpConfig::default()).expect("a client").send(request).await.expect("an answer").status
}

#[cfg(unix)]
#[tokio::test]
async fn a_simulated_crm_says_where_it_is_and_answers_there() {
    let mut simulator = program::start(folder().path(), &["simulate", "crm", "--listen", "127.0.0.1:0", "--json"]);
    let line = first_line(&mut simulator, "crm").await;
    let base = line["crm"].as_str().expect("the REST base");
    assert!(base.ends_with("/-/"), "{base}");
    let url: reqwest::Url = format!("{base}users?count=1").parse().expect("an address");
    let (login, password) = service(&line);
    assert_eq!(status_of(Request::get(url.clone()).basic(&login, &password)).await, StatusCode::OK);
    assert_eq!(status_of(Request::get(url).basic(&login, &Secret::new("wrong"))).await, StatusCode::UNAUTHORIZED);
    assert_eq!(simulator.terminate().await.code(), Some(0));
}

#[cfg(unix)]
#[tokio::test]
async fn a_simulated_exchange_says_where_it_is_and_answers_there() {
    let mut simulator = program::start(folder().path(), &["simulate", "exchange", "--listen", "127.0.0.1:0", "--json"]);
    let line = first_line(&mut simulator, "ews").await;
    let url = line["ews"].as_str().expect("the EWS address");
    assert!(url.ends_with("/EWS/Exchange.asmx"), "{url}");
    assert!(line["graph"].as_str().expect("the Graph address").ends_with("/v1.0"), "{line}");
    let (authority, tenant) =
        (line["authority"].as_str().expect("an authority"), line["tenant"].as_str().expect("a tenant"));
    assert!(
        authority.ends_with(tenant) && line["client_id"].is_string() && line["client_secret"].is_string(),
        "{line}"
    );
    let url: reqwest::Url = url.parse().expect("an address");
    let mailbox = line["users"].as_array().expect("users").iter().find(|user| user["role"] == "user").expect("a user");
    let envelope = "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns:m=\"http://schemas.microsoft.com/exchange/services/2006/messages\" \
         xmlns:t=\"http://schemas.microsoft.com/exchange/services/2006/types\"><s:Body><m:GetFolder><m:FolderShape>\
         <t:BaseShape>IdOnly</t:BaseShape></m:FolderShape><m:FolderIds><t:DistinguishedFolderId Id=\"calendar\"/>\
         </m:FolderIds></m:GetFolder></s:Body></s:Envelope>";
    let request = |password: &str| {
        Request::post(url.clone())
            .basic(mailbox["login"].as_str().expect("a login"), &Secret::new(password))
            .body("text/xml; charset=utf-8", envelope)
    };
    assert_eq!(status_of(request(mailbox["password"].as_str().expect("a password"))).await, StatusCode::OK);
    assert_eq!(status_of(request("wrong")).await, StatusCode::UNAUTHORIZED);
    assert_eq!(simulator.terminate().await.code(), Some(0));
}

#[tokio::test]
async fn a_port_in_use_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let outcome = run(&["simulate", "crm", "--listen", &address]).await;
    assert_eq!(outcome.code, 1);
    assert_eq!(
        outcome.stderr.replace(&address, "ADDRESS"),
        "\
error: cannot listen on ADDRESS: Address already in use (os error 98)
hint: choose another address; with port 0 the system finds a free one: --listen 127.0.0.1:0
"
    );
}

/// Two simulators, and a configuration for them.
struct Stage {
    folder: tempfile::TempDir,
    _servers: [Running; 2],
    config: String,
    crm: String,
    ews: String,
}

impl Stage {
    async fn set() -> Self {
        let folder = folder();
        let mut crm = program::start(folder.path(), &["simulate", "crm", "--json"]);
        let mut exchange = program::start(folder.path(), &["simulate", "exchange", "--json"]);
        let (crm_line, ews_line) = (first_line(&mut crm, "crm").await, first_line(&mut exchange, "ews").await);
        let (crm_url, ews_url) =
            (crm_line["crm"].as_str().expect("a base"), ews_line["ews"].as_str().expect("an address"));
        let ((crm_login, crm_password), (ews_login, ews_password)) = (service(&crm_line), service(&ews_line));
        let config = format!(
            "data = 'state'\n\
             [crm]\nurl = {crm_url:?}\nlogin = {crm_login:?}\npassword = {:?}\ntime_zone = {}\n\
             [[exchange]]\nname = 'main'\nurl = {ews_url:?}\nlogin = {ews_login:?}\npassword = {:?}\n",
            crm_password.expose(),
            crm_line["time_zone"],
            ews_password.expose(),
        );
        std::fs::write(folder.path().join("daybridge.toml"), &config).expect("the configuration is written");
        let (crm_url, ews_url) = (crm_url.to_owned(), ews_url.to_owned());
        Self { folder, _servers: [crm, exchange], config, crm: crm_url, ews: ews_url }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes the configuration with one text in place of another.
    fn configure(&self, from: &str, to: &str) {
        assert!(self.config.contains(from), "the configuration has no {from:?}");
        let text = self.config.replace(from, to);
        std::fs::write(self.path().join("daybridge.toml"), text).expect("the configuration is written");
    }
}

#[tokio::test]
async fn check_tries_everything_and_changes_nothing() {
    let stage = Stage::set().await;
    let outcome = program::run(stage.path(), &["check", "--json"]).await;
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{}", outcome.stdout);
    let lines: Vec<Value> =
        outcome.stdout.lines().map(|line| serde_json::from_str(line).expect("a JSON object per line")).collect();
    assert!(lines.iter().all(|line| line["ok"] == true), "{}", outcome.stdout);
    assert!(lines.iter().any(|line| line["what"] == "mailbox susan.maye@example.test"), "{}", outcome.stdout);
    assert!(!stage.path().join("state").exists(), "a check needs no data folder");
}

#[tokio::test]
async fn a_server_that_does_not_answer_and_a_wrong_password_are_told_apart() {
    let stage = Stage::set().await;
    let crm_host = stage.crm.split('/').nth(2).expect("a host").to_owned();
    let nobody = nobody();
    stage.configure(&crm_host, &nobody);
    let away = program::run(stage.path(), &["check"]).await;
    assert_eq!(away.code, 1);
    assert_eq!(
        away.stdout.replace(&nobody, "NOBODY"),
        "\
✓ rules: 7 rules load
✗ CRM: sign in in Sage CRM: cannot connect to http://NOBODY/sdata/crmj/sagecrm2/-/Communication: error sending request: \
client error (Connect): tcp connect error: Connection refused (os error 111)
    nothing is lost: the work waits and goes on when the server answers; check address, network and proxy if this lasts
"
    );
    stage.configure("password = \"demo\"", "password = \"wr0ng\"");
    let refused = program::run(stage.path(), &["check"]).await;
    assert_eq!(refused.code, 1);
    assert_eq!(
        refused.stdout,
        "\
✓ rules: 7 rules load
✗ CRM: sign in in Sage CRM: the CRM says: the user may not log on, or login and password do not fit (AccessDenied)
    check login and password (expired? locked?) of the account in the configuration; the host tries again by itself after a \
change
"
    );
    for outcome in [&away, &refused] {
        assert_eq!(
            outcome.stderr,
            "\
error: 1 thing is not as the configuration says
hint: mend what is marked with ✗ above, then: daybridge check
"
        );
        assert!(!outcome.stdout.contains("wr0ng"), "{}", outcome.stdout);
    }
    let ews_host = stage.ews.split('/').nth(2).expect("a host").to_owned();
    stage.configure(&ews_host, &nobody);
    let away = program::run(stage.path(), &["check"]).await;
    assert_eq!(away.code, 1);
    assert!(away.stdout.contains("✗ mailbox susan.maye@example.test: "), "{}", away.stdout);
}

#[cfg(unix)]
#[tokio::test]
async fn a_host_runs_answers_questions_and_stops_cleanly() {
    let stage = Stage::set().await;
    let mut host = program::start(stage.path(), &["run", "--config", "daybridge.toml", "--json"]);
    let line = host.json().await;
    assert!(line["control"].as_str().is_some_and(|url| url.starts_with("http://127.0.0.1:")), "{line}");

    let second = program::run(stage.path(), &["run"]).await;
    assert_eq!((second.code, second.stdout.as_str()), (1, ""));
    assert_eq!(
        second.stderr,
        "\
error: open the data folder
  Caused by: another host runs on the data folder state
hint: stop the other host first, or give this one its own folder with --data; a running host answers the command line without stopping
"
    );

    let status = program::run(stage.path(), &["status", "--json"]).await;
    assert_eq!(status.code, 0, "{}", status.stderr);
    let status: Value = serde_json::from_str(&status.stdout).expect("one JSON object");
    assert_eq!(status["pid"], line["pid"]);
    for arguments in
        [&["status"][..], &["queue", "list"], &["rules", "list"], &["sync", "--dry-run"], &["sync"], &["users", "list"]]
    {
        let outcome = program::run(stage.path(), arguments).await;
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{arguments:?}");
        assert!(!outcome.stdout.is_empty(), "{arguments:?}");
    }
    let unknown = program::run(stage.path(), &["trace", "0"]).await;
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.starts_with("error: nothing is known about 0\nhint: "), "{}", unknown.stderr);

    assert_eq!(host.terminate().await.code(), Some(0));
    let gone = program::run(stage.path(), &["status"]).await;
    assert_eq!(gone.code, 1);
    assert!(gone.stderr.starts_with("error: no host is running on the data folder "), "{}", gone.stderr);
}

#[cfg(unix)]
#[tokio::test]
async fn a_host_stops_when_it_is_asked() {
    let stage = Stage::set().await;
    let mut host = program::start(stage.path(), &["run", "--json"]);
    host.json().await;
    let stop = program::run(stage.path(), &["stop"]).await;
    assert_eq!(stop.code, 0, "{}", stop.stderr);
    assert_eq!(host.ended().await.code(), Some(0));
}

#[tokio::test]
async fn without_a_running_host_sync_does_the_pass_itself() {
    let stage = Stage::set().await;
    for arguments in [&["sync", "--dry-run", "--json"][..], &["sync", "--json"]] {
        let outcome = program::run(stage.path(), arguments).await;
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        let report: Value = serde_json::from_str(&outcome.stdout).expect("one JSON object");
        assert_eq!(report["dry_run"], arguments.contains(&"--dry-run"));
        assert_eq!(report["unfinished"], 0);
    }
}

#[tokio::test]
async fn users_are_listed_taken_out_and_taken_in_again_without_a_running_host() {
    let stage = Stage::set().await;
    let listed = program::run(stage.path(), &["users", "list"]).await;
    assert_eq!((listed.code, listed.stderr.as_str()), (0, ""));
    assert_eq!(
        listed.stdout,
        "\
USER           NAME           MAILBOX                     SERVER  FOUND BY  STATE
daybridge      Calendar Sync  -                           -       -         left-out
mary.jones     Mary Jones     mary.jones@example.test     main    address   synchronized
susan.maye     Susan Maye     susan.maye@example.test     main    address   synchronized
terry.smith    Terry Smith    terry.smith@example.test    main    address   synchronized
william.dolan  William Dolan  william.dolan@example.test  main    address   synchronized

daybridge: the CRM user has no e-mail address; to look for the mailbox by name: daybridge users sync

4 of 5 users take part.
"
    );
    let out = program::run(stage.path(), &["users", "disable", "susan.maye"]).await;
    assert_eq!((out.code, out.stderr.as_str()), (0, ""));
    assert_eq!(out.stdout, "susan.maye takes no part any more; nothing was deleted.\n");
    let synced = program::run(stage.path(), &["users", "sync", "--json"]).await;
    assert_eq!((synced.code, synced.stderr.as_str()), (0, ""));
    let users: Vec<Value> =
        synced.stdout.lines().map(|line| serde_json::from_str(line).expect("a JSON object per line")).collect();
    let states: Vec<_> =
        users.iter().filter_map(|user| Some((user["login"].as_str()?, user["state"].as_str()?))).collect();
    assert_eq!(
        states,
        [
            ("daybridge", "left-out"),
            ("mary.jones", "synchronized"),
            ("susan.maye", "disabled"),
            ("terry.smith", "synchronized"),
            ("william.dolan", "synchronized"),
        ]
    );
    let taken_in = program::run(stage.path(), &["users", "enable", "SUSAN.MAYE@example.test"]).await;
    assert_eq!(taken_in.stdout, "susan.maye takes part with the mailbox susan.maye@example.test.\n");
    let nobody = program::run(stage.path(), &["users", "disable", "nobody"]).await;
    assert_eq!((nobody.code, nobody.stdout.as_str()), (1, ""));
    assert_eq!(
        nobody.stderr,
        "\
error: there is no CRM user nobody
hint: name the user by login, id or e-mail address, as `daybridge users list` shows them
"
    );
}
