//! The Exchange simulator and a running host against DavMail, a gateway which others wrote: a person's calendar program speaks
//! CalDAV to it, and it speaks EWS.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use daybridge_tests::crm::Booking;
use daybridge_tests::host::{Mails, TestHost};
use daybridge_tests::python::python;
use daybridge_tests::time::day;
use daybridge_tests::user::SUSAN;
use daybridge_tests::wait::wait_for;
use serde_json::{Value, json};

/// A gateway; it ends with the value.
struct DavMail {
    port: u16,
    program: Child,
    _folder: tempfile::TempDir,
}

impl Drop for DavMail {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

impl DavMail {
    async fn before(ews_url: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // It takes no port 0: one that is free now will be a moment later.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let file = folder.path().join("davmail.properties");
        std::fs::write(&file, properties(ews_url, port, folder.path())).expect("written");
        let name = std::env::var("DAYBRIDGE_DAVMAIL").unwrap_or_else(|_| "davmail-server".to_owned());
        let program = Command::new(&name)
            .arg(&file)
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .env("JAVA_TOOL_OPTIONS", "-Xmx192m -XX:+UseSerialGC")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}; install Debian's davmail-server, or run tests/run"));
        wait_for("DavMail listening", || async { TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok() }).await;
        Self { port, program, _folder: folder }
    }

    /// Acts as Susan and answers what her program shows.
    async fn susan(&self, acts: Value) -> Vec<Value> {
        let base = format!("http://127.0.0.1:{}/users/susan.maye@example.test/calendar/", self.port);
        let order = json!({"base": base, "login": "susan.maye", "password": "susan-demo", "acts": acts}).to_string();
        let acted = tokio::task::spawn_blocking(move || {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/davmail_person.py");
            let (input, output, errors) = (Stdio::piped(), Stdio::piped(), Stdio::piped());
            let mut client = Command::new(python("requests"))
                .arg(script)
                .stdin(input)
                .stdout(output)
                .stderr(errors)
                .spawn()
                .expect("Python starts");
            client.stdin.take().expect("a pipe").write_all(order.as_bytes()).expect("the client listens");
            client.wait_with_output().expect("the client ends")
        });
        let output = acted.await.expect("the client ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        answer["items"].as_array().cloned().unwrap_or_default()
    }
}

fn properties(ews_url: &str, port: u16, folder: &Path) -> String {
    let log = folder.join("davmail.log");
    format!(
        "davmail.server=true\ndavmail.mode=EWS\ndavmail.url={ews_url}\ndavmail.caldavPort={port}\ndavmail.imapPort=\n\
         davmail.smtpPort=\ndavmail.popPort=\ndavmail.ldapPort=\ndavmail.bindAddress=127.0.0.1\ndavmail.allowRemote=false\n\
         davmail.disableUpdateCheck=true\ndavmail.enableKeepAlive=false\ndavmail.enableKerberos=false\n\
         davmail.logFilePath={log}\nlog4j.rootLogger=ERROR\nlog4j.logger.davmail=ERROR\n",
        log = log.display()
    )
}

fn at(day: &str, hour: u32) -> String {
    format!("{}T{hour:02}0000", day.replace('-', ""))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_caldav_program_does_reaches_the_crm_and_back() {
    let mut host = TestHost::settled().await;
    let davmail = DavMail::before(&host.servers.exchange.ews_url()).await;
    let day = day(40).to_string();
    let put = |subject: &str, hour: u32| {
        json!({"act": "put", "name": "visit@client.test.ics", "uid": "visit@client.test", "subject": subject,
            "body": "Bring samples, please", "location": "Plant 2", "start": at(&day, hour), "end": at(&day, hour + 1)})
    };
    let shown = davmail.susan(json!([put("By CalDAV", 9), {"act": "list"}])).await;
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert_eq!((&shown[0]["subject"], &shown[0]["location"]), (&json!("By CalDAV"), &json!("Plant 2")));
    assert_eq!(shown[0]["start"], at(&day, 9));
    host.settle().await;
    let rows = host.crm().appointments().await;
    assert_eq!(rows.len(), 1);
    let (id, row) = (rows[0].id(), &rows[0]);
    assert_eq!(
        (row.text("Comm_Subject").as_str(), row.text("Comm_Note").trim_end()),
        ("By CalDAV", "Bring samples, please")
    );
    assert_eq!(
        (row.text("Comm_DateTime"), row.text("Comm_Location")),
        (format!("{day}T09:00:00"), "Plant 2".to_owned())
    );

    // Moved in the calendar program, described in the CRM; another one made there.
    davmail.susan(json!([put("By CalDAV", 13)])).await;
    host.crm().patch("Communication", &id, &json!({"Comm_Location": "Plant 3"})).await;
    host.crm().book(&Booking::at("Made in the CRM", &day, 16, SUSAN).note("Agenda")).await;
    host.settle().await;
    let row = host.crm().get("Communication", &id).await.expect("there");
    assert_eq!(row.text("Comm_DateTime"), format!("{day}T13:00:00"));
    let mut shown: Vec<[String; 3]> = davmail
        .susan(json!([{"act": "list"}]))
        .await
        .iter()
        .map(|item| ["subject", "location", "start"].map(|key| item[key].as_str().unwrap_or_default().to_owned()))
        .collect();
    shown.sort();
    let first = ["By CalDAV", "Plant 3", &at(&day, 13)].map(str::to_owned);
    let second = ["Made in the CRM", "", &at(&day, 16)].map(str::to_owned);
    assert_eq!(shown, [first, second]);

    davmail.susan(json!([{"act": "delete", "name": "visit@client.test.ics"}])).await;
    host.settle().await;
    let left: Vec<String> = host.crm().appointments().await.iter().map(|row| row.text("Comm_Subject")).collect();
    assert_eq!(left, ["Made in the CRM"]);
    host.oracle(1, Mails::NONE).await;
}
