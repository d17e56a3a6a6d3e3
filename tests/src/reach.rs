//! How the host reaches Exchange: by EWS, by Microsoft Graph, or some mailboxes by one and some by the other.

use daybridge::sim::exchange::{Role, Running};

/// How the host reaches Exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Ews,
    Graph,
    /// [`ONLINE`] by Graph, the others by EWS.
    Hybrid,
}

/// The mailboxes that a hybrid has online: the organizer of most stories, and one of those she meets.
pub const ONLINE: [&str; 2] = ["susan.maye@example.test", "mary.jones@example.test"];

/// What an operation of EWS is called in Graph, for faults.
const OPERATIONS: [(&str, &str); 6] = [
    ("CreateItem", "Graph.CreateEvent"),
    ("UpdateItem", "Graph.UpdateEvent"),
    ("DeleteItem", "Graph.DeleteEvent"),
    ("GetItem", "Graph.GetEvent"),
    ("FindItem", "Graph.ListEvents"),
    ("SyncFolderItems", "Graph.CalendarViewDelta"),
];

impl std::fmt::Display for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Reach::Ews => "ews",
            Reach::Graph => "graph",
            Reach::Hybrid => "hybrid",
        })
    }
}

impl std::str::FromStr for Reach {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "ews" => Ok(Reach::Ews),
            "graph" => Ok(Reach::Graph),
            "hybrid" => Ok(Reach::Hybrid),
            other => Err(format!("ews, graph or hybrid, not {other}")),
        }
    }
}

impl Reach {
    /// # Panics
    /// If the variable names something else.
    pub fn of_environment() -> Self {
        match std::env::var("DAYBRIDGE_EXCHANGE").as_deref() {
            Err(_) | Ok("") => Reach::Ews,
            Ok(name) => name.parse().unwrap_or_else(|error| panic!("DAYBRIDGE_EXCHANGE is {error}")),
        }
    }

    /// Whether a meeting in Susan's calendar can be written without mailing her guests.
    pub fn writes_silently(self) -> bool {
        self == Reach::Ews
    }

    /// Whether this mailbox is reached by Graph, which mails the guests of a meeting by itself.
    pub fn by_graph(self, mailbox: &str) -> bool {
        match self {
            Reach::Ews => false,
            Reach::Graph => true,
            Reach::Hybrid => ONLINE.contains(&mailbox),
        }
    }

    /// How many servers that is.
    pub fn servers(self) -> usize {
        if self == Reach::Hybrid { 2 } else { 1 }
    }

    /// What an EWS operation in Susan's mailbox is called.
    pub fn operation(self, ews: &str) -> &str {
        self.operation_of(ews, None)
    }

    /// The same in another mailbox.
    pub fn operation_of<'n>(self, ews: &'n str, mailbox: Option<&str>) -> &'n str {
        let by_graph = self.by_graph(mailbox.unwrap_or(ONLINE[0]));
        OPERATIONS.iter().find(|(known, _)| by_graph && *known == ews).map_or(ews, |(_, graph)| graph)
    }

    /// The `[[exchange]]` sections; `front` is the origin that stands before the server.
    pub fn config(self, exchange: &Running, front: Option<&str>) -> String {
        let service = exchange.users().into_iter().find(|user| user.role == Role::Service).expect("a service account");
        let ews = |name: &str| {
            let url = front.map_or_else(|| exchange.ews_url(), |front| format!("{front}/EWS/Exchange.asmx"));
            let (login, password) = (&service.login, &service.password);
            format!(
                "[[exchange]]\nname = \"{name}\"\nkind = \"ews\"\nurl = \"{url}\"\nlogin = \"{login}\"\npassword = \"{password}\"\n"
            )
        };
        let graph = |name: &str| {
            let (url, authority) = match front {
                Some(front) => (format!("{front}/v1.0"), front.to_owned()),
                None => (exchange.graph_url(), exchange.url()),
            };
            let (tenant, client) = (exchange.tenant(), exchange.client_id());
            let secret = exchange.client_secret();
            format!(
                "[[exchange]]\nname = \"{name}\"\nkind = \"graph\"\nurl = \"{url}\"\nauthority = \"{}\"\ntenant = \"{tenant}\"\n\
                 client_id = \"{client}\"\nclient_secret = \"{secret}\"\n",
                authority.trim_end_matches('/')
            )
        };
        match self {
            Reach::Ews => format!("{}primary = true\n", ews("exchange")),
            Reach::Graph => format!("{}primary = true\n", graph("exchange")),
            Reach::Hybrid => {
                format!("{}primary = true\n{}mailboxes = {ONLINE:?}\n", ews("exchange"), graph("online"))
            }
        }
    }
}
