//! The directory: what the answers say, and who of it a CRM user is.

use daybridge::connector::ews::directory::{Busy, read_resolutions};
use daybridge::connector::{Connector as _, Problem};
use daybridge::model::{Address, DirectoryEntry, Mail, ShowAs, User, UserId};
use daybridge::people::{DirectoryMatch, in_directory};
use daybridge::sim::exchange::{ListOptions, Options};

use super::envelope;
use super::sim::{Sim, at, draft, invite, key, susan};

fn resolved(class: &str, code: &str, set: &str) -> Result<Vec<DirectoryEntry>, String> {
    let text = super::answer(&format!(
        r#"<m:ResolveNamesResponse><m:ResponseMessages><m:ResolveNamesResponseMessage ResponseClass="{class}">
        <m:ResponseCode>{code}</m:ResponseCode><m:ResolutionSet>{set}</m:ResolutionSet></m:ResolveNamesResponseMessage>
        </m:ResponseMessages></m:ResolveNamesResponse>"#
    ));
    envelope::answer(&text, read_resolutions).map_err(|error| error.to_string())
}

#[test]
fn people_are_read_with_all_their_addresses() {
    let internal = r#"<t:Resolution><t:Mailbox><t:Name>Jo Doe</t:Name><t:EmailAddress>/O=ORG/CN=JO</t:EmailAddress>
        <t:RoutingType>EX</t:RoutingType></t:Mailbox><t:Contact><t:GivenName> Jo </t:GivenName><t:EmailAddresses>
        <t:Entry Key="EmailAddress1">smtp:jd@x.test</t:Entry><t:Entry Key="EmailAddress2">SMTP:jo.doe@x.test</t:Entry>
        <t:Entry Key="EmailAddress3">sip:jo@x.test</t:Entry></t:EmailAddresses><t:Surname>Doe</t:Surname></t:Contact></t:Resolution>"#;
    let bare = "<t:Resolution><t:Mailbox><t:Name>Al</t:Name><t:EmailAddress>al@x.test</t:EmailAddress></t:Mailbox></t:Resolution>";
    let nowhere = "<t:Resolution><t:Mailbox><t:Name>List</t:Name></t:Mailbox></t:Resolution>";
    let found = resolved("Warning", "ErrorNameResolutionMultipleResults", &[internal, bare, nowhere].concat()).unwrap();
    let jo = DirectoryEntry {
        name: "Jo Doe".into(),
        first_name: "Jo".into(),
        last_name: "Doe".into(),
        address: Address::new("jo.doe@x.test"),
        aliases: vec![Address::new("jd@x.test")],
    };
    let al = DirectoryEntry { name: "Al".into(), address: Address::new("al@x.test"), ..DirectoryEntry::default() };
    assert_eq!(found, [jo, al]);
    assert!(resolved("Error", "ErrorNameResolutionNoResults", "").unwrap().is_empty());
    assert!(resolved("Error", "ErrorAccessDenied", "").unwrap_err().contains("ErrorAccessDenied"));
}

fn entry(first: &str, last: &str, address: &str, aliases: &[&str]) -> DirectoryEntry {
    DirectoryEntry {
        name: format!("{first} {last}"),
        first_name: first.into(),
        last_name: last.into(),
        address: Address::new(address),
        aliases: aliases.iter().map(|alias| Address::new(alias)).collect(),
    }
}

fn user(first: &str, last: &str, address: &str) -> User {
    User {
        id: UserId("1".into()),
        logon: "u".into(),
        first_name: first.into(),
        last_name: last.into(),
        address: Address::new(address),
        active: true,
        resource: false,
    }
}

#[test]
fn a_crm_user_is_found_by_address_then_by_name_and_never_by_guess() {
    let mut people = vec![
        entry("Susan", "Maye", "susan.maye@x.test", &["smaye@x.test"]),
        entry("Terry", "Smith", "terry.smith@x.test", &[]),
        entry("Terry", "Smith", "terry2@x.test", &[]),
        entry("", "", "room@x.test", &[]),
    ];
    people[3].name = "Blue Room".into();
    let found = |first: &str, last: &str, address: &str| match in_directory(&user(first, last, address), &people) {
        DirectoryMatch::One(entry) => vec![entry.address.as_str().to_owned()],
        DirectoryMatch::Several(all) => all.iter().map(|entry| entry.address.as_str().to_owned()).collect(),
        DirectoryMatch::Nobody => Vec::new(),
    };
    assert_eq!(found("S.", "M.", "SUSAN.MAYE@x.test"), ["susan.maye@x.test"]);
    assert_eq!(found("S.", "M.", "smaye@X.test"), ["susan.maye@x.test"], "another address of the same mailbox");
    assert_eq!(found("susan", " MAYE", "old@x.test"), ["susan.maye@x.test"], "by name where no address fits");
    assert_eq!(
        found("Terry", "Smith", "terry2@x.test"),
        ["terry2@x.test"],
        "an address decides between two of one name"
    );
    assert_eq!(found("Terry", "Smith", ""), ["terry.smith@x.test", "terry2@x.test"], "two are no match");
    assert_eq!(found("Blue", "Room", ""), ["room@x.test"]);
    for nobody in [("Susan", "", ""), ("", "", ""), ("Mary", "Jones", "mary@x.test")] {
        assert!(found(nobody.0, nobody.1, nobody.2).is_empty(), "{nobody:?}");
    }
}

#[tokio::test]
async fn people_are_looked_up_in_the_directory() {
    let sim = Sim::start().await;
    let look = async |wanted: &str| {
        let found = sim.connector.find_people(&susan(), wanted).await.unwrap();
        found.into_iter().map(|entry| entry.address.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(look("terry.smith@example.test").await, ["terry.smith@example.test"]);
    assert_eq!(look("tsmith@example.test").await, ["terry.smith@example.test"], "by another address of the mailbox");
    assert_eq!(look("Terry Smith").await, ["terry.smith@example.test"]);
    // The server answers beginnings; that is no match.
    assert!(look("terry").await.is_empty());
    assert!(look("nobody@example.test").await.is_empty());
}

/// The company with lists: one of people, one that holds the other and itself.
async fn with_lists() -> Sim {
    let list = |name: &str, members: &[&str]| ListOptions {
        name: name.into(),
        address: format!("{name}@example.test"),
        members: members.iter().map(|member| format!("{member}@example.test")).collect(),
    };
    let lists = vec![
        list("sales", &["susan.maye", "terry.smith", "outside"]),
        list("everybody", &["sales", "mary.jones", "terry.smith", "everybody"]),
    ];
    Sim::of(Options { lists, ..Options::default() }, |_| {}).await
}

#[tokio::test]
async fn lists_are_opened_with_the_lists_in_them_once() {
    let sim = with_lists().await;
    let members = async |name: &str| {
        let list = Address::new(&format!("{name}@example.test"));
        let found = sim.connector.list_members(&susan(), &list).await;
        found.map(|people| people.into_iter().map(|person| person.address.as_str().to_owned()).collect::<Vec<_>>())
    };
    let [susan, terry, outside, mary] =
        ["susan.maye", "terry.smith", "outside", "mary.jones"].map(|name| format!("{name}@example.test"));
    assert_eq!(members("sales").await.unwrap(), [susan.clone(), terry.clone(), outside.clone()]);
    let mut all = members("everybody").await.unwrap();
    all.sort();
    assert_eq!(all, [mary, outside, susan, terry]);
    assert_eq!(members("nobody").await.unwrap_err().problem, Problem::NotFound);
}

#[tokio::test]
async fn who_is_busy_is_asked_for_many_at_once() {
    let sim = Sim::start().await;
    let mut meeting = draft("meeting");
    invite(&mut meeting, &["terry.smith"]);
    sim.create(&meeting, &key(1), Mail::All).await;
    let (from, to) = (at("2027-02-08T00:00:00Z"), at("2027-02-09T00:00:00Z"));
    let mailboxes =
        ["susan.maye", "terry.smith", "mary.jones", "nobody"].map(|name| Address::new(&format!("{name}@example.test")));
    let answers = sim.connector.availability(&susan(), &mailboxes, from, to).await.unwrap();
    let busy = |show_as| Busy { start: at("2027-02-08T09:00:00Z"), end: at("2027-02-08T10:00:00Z"), show_as };
    assert_eq!(answers[0], Ok(vec![busy(ShowAs::Busy)]));
    assert_eq!(answers[1], Ok(vec![busy(ShowAs::Tentative)]), "not answered yet");
    assert_eq!(answers[2], Ok(vec![]));
    assert_eq!(answers[3].as_ref().unwrap_err().code, "ErrorMailRecipientNotFound");
    // More than the server takes at once.
    let many = vec![mailboxes[0].clone(); 150];
    let answers = sim.connector.availability(&susan(), &many, from, to).await.unwrap();
    assert!(answers.len() == 150 && answers.iter().all(|answer| *answer == Ok(vec![busy(ShowAs::Busy)])));
    let error = sim.connector.availability(&susan(), &mailboxes, to, from).await.unwrap_err();
    assert_eq!(error.problem, Problem::Refused);
}

#[tokio::test]
async fn the_directory_can_be_paged() {
    let sim = Sim::start().await;
    let ask = async |query: &str, most: u32, offset: u32| {
        let request = format!(
            r#"<m:FindPeople><m:PersonaShape><t:BaseShape>Default</t:BaseShape></m:PersonaShape><m:IndexedPageItemView
            MaxEntriesReturned="{most}" Offset="{offset}" BasePoint="Beginning"/><m:ParentFolderId><t:DistinguishedFolderId
            Id="directory"/></m:ParentFolderId><m:QueryString>{query}</m:QueryString></m:FindPeople>"#
        );
        let text = sim.ask("susan.maye", &request).await;
        text.matches("<t:DisplayName>").count()
    };
    assert_eq!((ask("", 3, 0).await, ask("", 3, 3).await, ask("smi", 3, 0).await), (3, 1, 1));
}
