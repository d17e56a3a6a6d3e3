//! What an operator reads when the configuration is wrong, word for word.

use std::path::Path;

use daybridge::cli::Failure;
use daybridge::config::{Config, ConfigError, ConflictPolicy, EXAMPLE, Protocol};
use daybridge::connector::ews::config::EwsConfig;

const GOOD: &str = r#"
data = "state"

[crm]
url = "http://127.0.0.1:8080"
login = "daybridge"
password = "s3cr3t"
time_zone = "Europe/London"

[[exchange]]
name = "main"
url = "http://127.0.0.1:8081/EWS/Exchange.asmx"
login = "daybridge"
password = "s3cr3t"

[sync]
poll_interval_s = 30
"#;

fn ews(config: &Config) -> &EwsConfig {
    match &config.exchange[0].protocol {
        Protocol::Ews(ews) => ews,
        Protocol::Graph(_) => panic!("the server speaks Graph"),
    }
}

fn nothing(_: &str) -> Option<String> {
    None
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("/etc/daybridge/daybridge.toml"), text, &nothing)
}

/// What the command line prints for a configuration.
fn complaint(text: &str) -> String {
    let error = parse(text).expect_err("the configuration should be refused");
    let text = Failure::from(error).text();
    assert!(!text.contains("s3cr3t"), "a secret was printed: {text}");
    text
}

fn check(replace: (&str, &str), expected: &str) {
    assert!(GOOD.contains(replace.0), "the good configuration has no {:?}", replace.0);
    assert_eq!(complaint(&GOOD.replace(replace.0, replace.1)), expected.trim_start());
}

#[test]
fn a_good_one_is_taken_with_defaults_and_paths_from_its_own_folder() {
    let config = parse(GOOD).expect("the good configuration");
    assert_eq!(config.data, Path::new("/etc/daybridge/state"));
    assert_eq!(config.crm.password.expose(), "s3cr3t");
    assert_eq!(config.sync.poll_interval_s, 30);
    assert_eq!(config.sync.conflict, ConflictPolicy::Latest);
    assert_eq!(config.exchange.len(), 1);
    assert!(config.exchange[0].primary, "a server alone is primary");
    assert_eq!(config.rules, daybridge::plugin::default_chain());
    assert!(!format!("{config:?}").contains("s3cr3t"));
}

#[test]
fn the_example_is_valid_and_so_is_every_line_it_comments_out() {
    let secrets = |name: &str| name.ends_with("_PASSWORD").then(|| "x".to_owned());
    Config::parse(Path::new("daybridge.toml"), EXAMPLE, &secrets).expect("the example");
    let uncommented: String = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.starts_with("[[") || rest.split(' ').nth(1) == Some("=") => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let secrets = |name: &str| name.starts_with("DAYBRIDGE_").then(|| "info".to_owned());
    let config = Config::parse(Path::new("daybridge.toml"), &uncommented, &secrets).expect("the uncommented example");
    assert_eq!(config.rules.len(), 1);
    assert_eq!(config.control.doorbell_token.expect("the doorbell's token").expose(), "info");
}

#[test]
fn usual_values_in_the_example_are_the_defaults() {
    let secrets = |name: &str| name.starts_with("DAYBRIDGE_").then(|| "info".to_owned());
    let uncommented: String = EXAMPLE
        .lines()
        .skip_while(|line| *line != "[sync]")
        .take_while(|line| !line.starts_with("# The chain"))
        .map(|line| format!("{}\n", line.strip_prefix("# ").unwrap_or(line)))
        .collect();
    let before: String = GOOD.split_inclusive('\n').take_while(|line| !line.starts_with("[sync]")).collect();
    let shown = Config::parse(Path::new("x.toml"), &(before.clone() + &uncommented), &secrets).expect("with [sync]");
    let default = Config::parse(Path::new("x.toml"), &before, &secrets).expect("without [sync]");
    assert_eq!(shown.sync, default.sync);
}

#[test]
fn broken_toml() {
    check(
        (
            "login = \"daybridge\"\npassword = \"s3cr3t\"\ntime_zone",
            "login = \"daybridge\npassword = \"s3cr3t\"\ntime_zone",
        ),
        "
error: /etc/daybridge/daybridge.toml, line 6: this is not TOML: invalid basic string, expected `\"`
hint: texts stand in quotes, sections in [brackets], one `key = value` to a line
",
    );
}

#[test]
fn unknown_key() {
    check(
        ("poll_interval_s", "poll_intervall_s"),
        "
error: /etc/daybridge/daybridge.toml, line 17: unknown key poll_intervall_s in [sync]
hint: did you mean poll_interval_s?
",
    );
}

#[test]
fn unknown_key_in_a_server() {
    check(
        ("name = \"main\"", "name = \"main\"\nmail_boxes = []"),
        "
error: /etc/daybridge/daybridge.toml, line 12: unknown key mail_boxes in [exchange]
hint: did you mean mailboxes?
",
    );
}

#[test]
fn what_compiling_a_rule_may_take_has_a_range() {
    let gate = |text: &str| format!("{GOOD}\n[gate]\n{text}\n");
    let sandboxes = |text: &str| parse(&gate(text)).expect("a good gate").gate.new_sandboxes;
    assert!(sandboxes("new_sandboxes = true") && !sandboxes(""));
    let limits = parse(&gate("compile_seconds = 60\ncompile_memory_mib = 2048")).expect("good limits").gate.compile;
    assert_eq!((limits.seconds, limits.memory_mib), (60, 2048));
    let told = complaint(&gate("compile_seconds = 1"));
    assert!(told.ends_with("gate.compile_seconds is 1\nhint: use 5 to 60\n"), "{told}");
    let told = complaint(&gate("compile_memory_mib = 100000"));
    assert!(told.ends_with("gate.compile_memory_mib is 100000\nhint: use 256 to 16384\n"), "{told}");
}

#[test]
fn unknown_section() {
    check(
        ("[sync]", "[synch]"),
        "
error: /etc/daybridge/daybridge.toml, line 16: unknown section or key synch at the top
hint: did you mean sync?
",
    );
}

#[test]
fn wrong_type() {
    check(
        ("poll_interval_s = 30", "poll_interval_s = \"30s\""),
        "
error: /etc/daybridge/daybridge.toml, line 17: sync.poll_interval_s must be a whole number, not string \"30s\"
hint: the example explains every key: daybridge init --print
",
    );
}

#[test]
fn a_secret_of_the_wrong_type_is_not_quoted() {
    check(
        ("password = \"s3cr3t\"\ntime_zone", "password = 5353535\ntime_zone"),
        "
error: /etc/daybridge/daybridge.toml, line 7: crm.password must be a text
hint: put it in quotes
",
    );
}

#[test]
fn missing_password() {
    check(
        ("password = \"s3cr3t\"\ntime_zone", "time_zone"),
        "
error: /etc/daybridge/daybridge.toml, line 4: crm.password is missing
hint: give password_file (best), password_env, or password
",
    );
}

#[test]
fn missing_password_file() {
    check(
        ("password = \"s3cr3t\"\ntime_zone", "password_file = \"nowhere\"\ntime_zone"),
        "
error: /etc/daybridge/daybridge.toml, line 7: cannot read crm.password_file /etc/daybridge/nowhere
  Caused by: No such file or directory (os error 2)
hint: the file that crm.password_file names must exist, be readable by the account that runs the host, and hold the secret alone
",
    );
}

#[test]
fn missing_password_variable() {
    check(
        ("password = \"s3cr3t\"\ntime_zone", "password_env = \"CRM_PASSWORD\"\ntime_zone"),
        "
error: /etc/daybridge/daybridge.toml, line 7: crm.password_env names the variable CRM_PASSWORD, which is not set
hint: set CRM_PASSWORD for the account that runs the host
",
    );
}

#[test]
fn a_password_given_twice() {
    check(
        ("password = \"s3cr3t\"\ntime_zone", "password = \"s3cr3t\"\npassword_env = \"X\"\ntime_zone"),
        "
error: /etc/daybridge/daybridge.toml, line 8: crm.password is given more than once
hint: keep one of password, password_file, password_env
",
    );
}

#[test]
fn secrets_come_from_files_and_variables_and_the_hosts_own_variable_wins() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("crm.password"), "from file\n").expect("a file");
    let file = folder.path().join("daybridge.toml");
    let text = GOOD
        .replace("password = \"s3cr3t\"\ntime_zone", "password_file = \"crm.password\"\ntime_zone")
        .replace("password = \"s3cr3t\"\n\n[sync]", "password_env = \"MAIL\"\n\n[sync]");
    let one = Config::parse(&file, &text, &|name| (name == "MAIL").then(|| "from variable".into())).expect("parses");
    assert_eq!(one.crm.password.expose(), "from file");
    assert_eq!(ews(&one).password.expose(), "from variable");
    let own = |name: &str| match name {
        "DAYBRIDGE_CRM_PASSWORD" => Some("own crm".to_owned()),
        "DAYBRIDGE_EXCHANGE_MAIN_PASSWORD" => Some("own exchange".to_owned()),
        "DAYBRIDGE_DATA" => Some("elsewhere".to_owned()),
        _ => None,
    };
    let two = Config::parse(&file, &text, &own).expect("parses");
    assert_eq!(two.crm.password.expose(), "own crm");
    assert_eq!(ews(&two).password.expose(), "own exchange");
    assert_eq!(two.data, Path::new("elsewhere"));
}

#[test]
fn bad_zone() {
    check(
        ("Europe/London", "Europe/Londn"),
        "
error: /etc/daybridge/daybridge.toml, line 8: crm.time_zone: \"Europe/Londn\" is no IANA zone name (such as Europe/Berlin)
hint: did you mean Europe/London?
",
    );
}

#[test]
fn bad_address() {
    check(
        ("http://127.0.0.1:8080", "ftp://crm"),
        "
error: /etc/daybridge/daybridge.toml, line 5: crm.url: must begin with http:// or https:// and name a server
hint: the example explains every key: daybridge init --print
",
    );
}

#[test]
fn missing_section() {
    let text: String = GOOD.replace("[[exchange]]", "#").replace("name = \"main\"", "#");
    let text: String = text.lines().take_while(|line| *line != "#").map(|line| format!("{line}\n")).collect();
    assert_eq!(
        complaint(&text),
        "\
error: /etc/daybridge/daybridge.toml, line 1: the section [[exchange]] is missing
hint: say how to reach the Exchange server: add [[exchange]]; for an example: daybridge init --print
"
    );
}

#[test]
fn one_bracket_too_few() {
    check(
        ("[[exchange]]", "[exchange]"),
        "
error: /etc/daybridge/daybridge.toml, line 10: exchange must be a list of sections
hint: write [[exchange]] with two brackets on each side
",
    );
}

#[test]
fn a_control_address_that_others_could_reach() {
    check(
        ("[sync]", "[control]\nlisten = \"0.0.0.0:80\"\n[sync]"),
        "
error: /etc/daybridge/daybridge.toml, line 17: control.listen must be a loopback address, not 0.0.0.0
hint: use 127.0.0.1 or [::1]; to reach the host from elsewhere, use an SSH tunnel
",
    );
}

#[test]
fn an_impossible_number() {
    check(
        ("poll_interval_s = 30", "workers = 0"),
        "
error: /etc/daybridge/daybridge.toml, line 17: sync.workers is 0
hint: use 1 to 64
",
    );
    check(
        ("poll_interval_s = 30", "delete_fraction = 30.0"),
        "
error: /etc/daybridge/daybridge.toml, line 17: sync.delete_fraction is 30
hint: use 0 to 1: 0.3 holds deletions of more than 30 in 100 appointments of a calendar within an hour
",
    );
}

#[test]
fn a_policy_that_does_not_exist() {
    check(
        ("poll_interval_s = 30", "conflict = \"newest\""),
        "
error: /etc/daybridge/daybridge.toml, line 17: sync.conflict cannot be \"newest\"
hint: known are: crm, exchange, latest
",
    );
}

#[test]
fn a_log_level_that_does_not_exist() {
    check(
        ("[sync]", "[log]\nlevel = \"loud\"\n[sync]"),
        "
error: /etc/daybridge/daybridge.toml, line 17: log.level: no such log level: loud
hint: use error, warn, info, debug or trace
",
    );
}

#[test]
fn two_servers_of_one_name() {
    let second = "[[exchange]]\nname = \"main\"\nurl = \"http://127.0.0.1/x\"\nlogin = \"a\"\npassword = \"s3cr3t\"\n";
    assert_eq!(
        complaint(&GOOD.replace("[sync]", &format!("{second}[sync]")).replace(
            "name = \"main\"\nurl = \"http://127.0.0.1:8081",
            "name = \"main\"\nprimary = true\nurl = \"http://127.0.0.1:8081"
        )),
        "\
error: /etc/daybridge/daybridge.toml, line 18: two Exchange servers are named main
hint: give each [[exchange]] section its own name
"
    );
}

#[test]
fn no_file() {
    let error = Config::load(Path::new("/nonexistent/daybridge.toml"), &nothing).expect_err("there is no such file");
    assert_eq!(
        Failure::from(error).text(),
        "\
error: cannot read the configuration /nonexistent/daybridge.toml
  Caused by: No such file or directory (os error 2)
hint: give the file with --config, or write one: daybridge init daybridge.toml
"
    );
}

/// Whatever stands in the file, the answer is a configuration or a message; never a panic, never a quoted secret.
#[test]
fn damaged_files_are_refused_without_a_panic() {
    for cut in 0..GOOD.len() {
        let Some((left, right)) = GOOD.split_at_checked(cut) else { continue };
        for text in
            [left.to_owned(), format!("{left}\u{0}{right}"), format!("{left}]{right}"), format!("{left}\"{right}")]
        {
            if let Err(error) = parse(&text) {
                assert!(!Failure::from(error).text().contains("s3cr3t"), "a secret was printed for {text:?}");
            }
        }
    }
}

/// The good configuration with one rule entry at its end.
fn with_rule(entry: &str) -> String {
    format!("{GOOD}\n[[rules]]\nfile = \"category.wasm\"\n{entry}\n")
}

#[test]
fn rule_entries_that_make_no_sense() {
    let line = with_rule("").lines().count() + 1;
    for (entry, expected) in [
        ("order = -1", "rules.order"),
        (
            "condition = \"appointment.subjct == ''\"",
            "rules.condition, line 1, column 12: an appointment has no subjct; did you mean subject?\nhint: the operator's guide",
        ),
        ("condition = 7", "rules.condition must be a text in quotes, not integer 7"),
        ("on_error = \"ignore\"", "rules.on_error cannot be \"ignore\"\nhint: known are: park, retry, skip, stop"),
        ("retry_after_s = 5", "rules.retry_after_s is for rules that are tried again\nhint: add on_error = \"retry\""),
        ("on_error = \"retry\"\nretry_after_s = 0", "rules.retry_after_s is 0\nhint: use 1 to 86400 seconds"),
        (
            "only_default_message = true",
            "rules.only_default_message needs a default message\nhint: add default_message",
        ),
        ("only_default_message = 1", "rules.only_default_message must be true or false"),
        ("default_message = true", "rules.default_message must be a text in quotes"),
        ("log_level = \"loud\"", "rules.log_level cannot be \"loud\"\nhint: known are: debug, error, info, off, warn"),
        ("log_levl = \"info\"", "unknown key log_levl in [rules]\nhint: did you mean log_level?"),
    ] {
        let complaint = complaint(&with_rule(entry));
        assert!(complaint.contains(expected), "{entry}: {complaint}");
        let at = if entry.contains('\n') { line..line + 1 } else { line - 1..line };
        assert!(at.into_iter().any(|line| complaint.contains(&format!("line {line}:"))), "{entry}: {complaint}");
    }
}

#[test]
fn rule_entries_in_full() {
    use std::time::Duration;

    use daybridge::plugin::{LogLevel, OnError};
    let text = with_rule(
        "condition = \"appointment.meeting\"\non_error = \"retry\"\nretry_after_s = 300\ndefault_message = \"Ask\"\n\
         only_default_message = true\nlog_level = \"warn\"\n[[rules]]\nfile = \"first.wasm\"\norder = 1\non_error = \"stop\"\n\
         [[rules]]\nfile = \"zero.wasm\"\norder = 0\n[[rules]]\nfile = \"last.wasm\"",
    );
    let rules = parse(&text).expect("a good configuration").rules;
    let order: Vec<&str> = rules.iter().map(|rule| rule.file.as_str()).collect();
    assert_eq!(order, ["zero.wasm", "category.wasm", "first.wasm", "last.wasm"]);
    let rule = &rules[1];
    assert_eq!(rule.condition.as_deref(), Some("appointment.meeting"));
    assert_eq!(rule.on_error, OnError::Retry { after: Some(Duration::from_secs(300)) });
    assert_eq!((rule.default_message.as_deref(), rule.only_default_message), (Some("Ask"), true));
    assert_eq!(rule.log_level, Some(LogLevel::Warn));
    assert_eq!((rules[2].on_error, rules[3].on_error), (OnError::Stop, OnError::Park));
}

const ONLINE: &str = r#"
[[exchange]]
name = "online"
kind = "graph"
tenant = "example.test"
client_id = "00000000-0000-0000-0000-000000000000"
client_secret = "s3cr3t"
mailboxes = ["terry.smith@example.test"]
"#;

#[test]
fn servers_of_both_kinds_stand_side_by_side() {
    let both = GOOD.replace("name = \"main\"", "name = \"main\"\nprimary = true") + ONLINE;
    let config = parse(&both).expect("both kinds are taken");
    let kinds: Vec<_> = config
        .exchange
        .iter()
        .map(|server| (server.name.as_str(), matches!(server.protocol, Protocol::Graph(_))))
        .collect();
    assert_eq!(kinds, [("main", false), ("online", true)]);
    let Protocol::Graph(graph) = &config.exchange[1].protocol else { panic!("the server speaks EWS") };
    assert_eq!((graph.name.as_str(), graph.url.as_str()), ("online", "https://graph.microsoft.com/v1.0"));
    // The secret by a variable, a certificate by paths that begin at the file's folder.
    let given = |name: &str| (name == "DAYBRIDGE_EXCHANGE_ONLINE_CLIENT_SECRET").then(|| "from variable".to_owned());
    let config = Config::parse(Path::new("/etc/daybridge/daybridge.toml"), &both, &given).expect("a variable is taken");
    let Protocol::Graph(graph) = &config.exchange[1].protocol else { panic!("the server speaks EWS") };
    assert_eq!(graph.client_secret.as_ref().expect("a secret").expose(), "from variable");
    let certificate = both.replace("client_secret = \"s3cr3t\"\nmail", "certificate_file = \"both.pem\"\nmail");
    let config = parse(&certificate).expect("a certificate is taken");
    let Protocol::Graph(graph) = &config.exchange[1].protocol else { panic!("the server speaks EWS") };
    assert_eq!(graph.certificate_file.as_deref(), Some(Path::new("/etc/daybridge/both.pem")));
}

#[test]
fn mistakes_about_exchange_online_are_named() {
    let with = |from: &str, to: &str| {
        let both = GOOD.replace("name = \"main\"", "name = \"main\"\nprimary = true") + &ONLINE.replace(from, to);
        complaint(&both)
    };
    for (from, to, told) in [
        ("client_secret = \"s3cr3t\"\n", "", "client_secret or certificate_file is missing"),
        ("tenant = \"example.test\"\n", "", "tenant is missing"),
        ("tenant = \"example.test\"", "tenant = \"a/b\"", "tenant must be"),
        (
            "kind = \"graph\"",
            "kind = \"graph\"\nurl = \"http://graph.example.test/v1.0\"",
            "url must begin with https://",
        ),
        ("kind = \"graph\"", "kind = \"graph\"\nurl = \"https://graph.example.test\"", "url must end in the version"),
        ("kind = \"graph\"", "kind = \"graph\"\nkey_file = \"key.pem\"", "key_file needs certificate_file"),
        ("kind = \"graph\"", "kind = \"graph\"\nmailbox_requests_max = 5", "mailbox_requests_max must be from 1 to 4"),
        ("kind = \"graph\"", "kind = \"graph\"\nwindow_past_days = 1800", "must be below 1825"),
        ("kind = \"graph\"", "kind = \"grahp\"", "did you mean graph?"),
        ("client_id", "clientid", "did you mean client_id?"),
        (
            "kind = \"graph\"",
            "kind = \"graph\"\nnotifications = { url = \"http://bridge.example.test/x\", listen = \"127.0.0.1:1\" }",
            "notifications.url must begin with https://",
        ),
    ] {
        let complaint = with(from, to);
        assert!(complaint.contains(told), "{complaint}");
    }
}
