//! Finds the address of a mailbox's Exchange server (autodiscover), where the settings name none.
//!
//! Asks the places that Microsoft's autodiscover article names, in its order: the mailbox's domain and its `autodiscover.`
//! host over HTTPS, by SOAP and by the older POX, then one plain question without a sign-in whose redirect is followed.
//! Service connection points in Active Directory and SRV records of DNS are not read.
//!
//! Promises: the login is sent over HTTPS only, and only to hosts of the mailbox's own domain or to those the operator
//! named; an answer that leads elsewhere ends in an error that names the host. Redirects are counted. Must not know:
//! appointments.
//!
//! Source: the article on autodiscover for Exchange; MS-OXWSADISC (SOAP) and MS-OXDSCLI (POX).

use std::collections::VecDeque;
use std::fmt;

use roxmltree::{Document, Node, ParsingOptions};

use super::config::EwsConfig;
use super::soap::{self, Xml, child, child_text, grandchildren};
use crate::connector::http::{HttpClient, HttpError, Request, Response, StatusCode, Url};
use crate::connector::{Error, Problem};
use crate::model::Address;

const SOAP_SPACE: &str = "http://schemas.microsoft.com/exchange/2010/Autodiscover";
const SOAP_ACTION: &str = "http://schemas.microsoft.com/exchange/2010/Autodiscover/Autodiscover/GetUserSettings";
const POX_REQUEST: &str = "http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006";
const POX_ANSWER: &str = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a";
const CONTENT_TYPE: &str = "text/xml; charset=utf-8";
/// Outside first: it is what the certificate and the firewall are made for.
const SETTINGS: [&str; 2] = ["ExternalEwsUrl", "InternalEwsUrl"];
/// More hops than that go in a circle.
const HOPS_MAX: usize = 10;
/// An answer lists some hundred settings.
const NODES_MAX: u32 = 100_000;

/// Looks for a mailbox's server.
pub struct Finder<'a> {
    pub http: &'a HttpClient,
    pub config: &'a EwsConfig,
    /// Signs a request in.
    pub sign: &'a (dyn Fn(Request) -> Request + Send + Sync),
}

/// What an answer of autodiscover says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The address of EWS.
    Ews(String),
    /// Ask there.
    Url(String),
    /// Ask for this address of the same mailbox.
    Address(String),
    /// No mailbox of that address, or nothing about EWS; why.
    Nothing(String),
}

/// The two forms of the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Soap,
    Pox,
}

/// Why a place did not lead to the server.
#[derive(Debug, thiserror::Error)]
enum Miss {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("it answered HTTP {0}")]
    Status(StatusCode),
    #[error("it answered something else than autodiscover")]
    Malformed,
    #[error("{0}")]
    Nothing(String),
    /// The host is not one to which the login may go.
    #[error("it leads to {0}; if that is right, add the host to autodiscover_hosts, or set url")]
    Unconfirmed(String),
    #[error("it leads to {0}, which is not https")]
    Plain(String),
    #[error("it leads from place to place without end")]
    Circle,
}

impl Miss {
    fn problem(&self) -> Problem {
        match self {
            Miss::Http(error) => error.problem.clone(),
            Miss::Status(StatusCode::UNAUTHORIZED) => Problem::SignIn,
            Miss::Status(status) if status.is_server_error() => Problem::Unreachable { after: None },
            Miss::Status(_) | Miss::Malformed | Miss::Circle => Problem::Malformed,
            Miss::Nothing(_) => Problem::NoMailbox,
            Miss::Unconfirmed(_) | Miss::Plain(_) => Problem::Refused,
        }
    }

    /// What tells most about why nothing was found: a place that answered says more than one that is not there.
    fn weight(&self) -> u8 {
        match self.problem() {
            Problem::SignIn | Problem::Refused => 3,
            Problem::NoMailbox => 2,
            Problem::Certificate | Problem::Throttled { .. } => 1,
            _ => 0,
        }
    }
}

/// A place to ask, as people read it.
struct Tried(Url, Miss);

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0, self.1)
    }
}

impl Finder<'_> {
    /// The address of EWS for a mailbox.
    ///
    /// # Errors
    /// The problem of the place that answered best; the text lists every place that was asked.
    pub async fn find(&self, mailbox: &Address) -> Result<Url, Error> {
        let act = format!("find the address of {}", self.config.name);
        let Some(domain) = domain_of(mailbox.as_str()) else {
            return Err(Error::new(act, Problem::NoMailbox).caused_by("the mailbox's address has no domain"));
        };
        let mut tried = Vec::new();
        for (url, form) in candidates(&domain) {
            match self.follow(url.clone(), form, mailbox, &domain).await {
                Ok(found) => return Ok(found),
                Err(miss) => tried.push(Tried(url, miss)),
            }
        }
        if let Some(plain) = plain_candidate(&domain) {
            match self.ask_plainly(plain.clone(), mailbox, &domain).await {
                Ok(found) => return Ok(found),
                Err(miss) => tried.push(Tried(plain, miss)),
            }
        }
        let problem =
            tried.iter().max_by_key(|tried| tried.1.weight()).map_or(Problem::NoMailbox, |best| best.1.problem());
        let places: Vec<_> = tried.iter().map(Tried::to_string).collect();
        Err(Error::new(act, problem).caused_by(format!("autodiscover found nothing ({})", places.join("; "))))
    }

    /// The question without a sign-in, over plain HTTP: whoever answers it may be anybody, so only the redirect counts, and
    /// where it leads must be a host the login may go to.
    async fn ask_plainly(&self, url: Url, mailbox: &Address, domain: &str) -> Result<Url, Miss> {
        // A client of its own: the other one may sign its connections in.
        let http = HttpClient::new(self.http.config().clone())?;
        let answered = match http.send(Request::get(url)).await {
            Err(HttpError { elsewhere: Some(elsewhere), .. }) => {
                let elsewhere = self.confirmed(elsewhere, domain)?;
                let form = form_of(&elsewhere);
                return self.follow(elsewhere, form, mailbox, domain).await;
            }
            other => other?,
        };
        Err(Miss::Status(answered.status))
    }

    /// Asks a place and goes where it points, until it says the address.
    async fn follow(&self, url: Url, form: Form, mailbox: &Address, domain: &str) -> Result<Url, Miss> {
        let (mut url, mut form, mut address) = (url, form, mailbox.as_str().to_owned());
        let mut queue = VecDeque::new();
        for _ in 0..HOPS_MAX {
            match self.ask(&url, form, &address, domain).await? {
                Told::Ews(found) => {
                    let found = found.parse().map_err(|_| Miss::Malformed)?;
                    return self.confirmed(found, domain);
                }
                Told::Url(next) => {
                    url = self.confirmed(next.parse().map_err(|_| Miss::Malformed)?, domain)?;
                    form = form_of(&url);
                }
                Told::Address(next) => {
                    let own = domain_of(&next).ok_or(Miss::Malformed)?;
                    address = next;
                    queue.extend(candidates(&own));
                    let Some((next, its_form)) = queue.pop_front() else { return Err(Miss::Malformed) };
                    (url, form) = (self.confirmed(next, domain)?, its_form);
                }
                Told::Nothing(why) => return Err(Miss::Nothing(why)),
            }
        }
        Err(Miss::Circle)
    }

    async fn ask(&self, url: &Url, form: Form, address: &str, domain: &str) -> Result<Told, Miss> {
        self.confirmed(url.clone(), domain)?;
        let request = match form {
            Form::Soap => Request::post(url.clone()).body(CONTENT_TYPE, soap_question(url, address)),
            Form::Pox => Request::post(url.clone()).body(CONTENT_TYPE, pox_question(address)),
        };
        let response = match self.http.send((self.sign)(request.accept("text/xml"))).await {
            Err(HttpError { elsewhere: Some(elsewhere), .. }) => return Ok(Told::Url(elsewhere.into())),
            other => other?,
        };
        read_response(&response, form)
    }

    /// The address, if the login may be sent there.
    fn confirmed(&self, url: Url, domain: &str) -> Result<Url, Miss> {
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        if url.scheme() != "https" {
            return Err(Miss::Plain(place(&url)));
        }
        let listed = self.config.autodiscover_hosts.iter().any(|known| known.eq_ignore_ascii_case(&host));
        if listed || is_within(&host, domain) { Ok(url) } else { Err(Miss::Unconfirmed(place(&url))) }
    }
}

fn place(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Whether a host is the domain itself or below it.
fn is_within(host: &str, domain: &str) -> bool {
    host == domain || host.strip_suffix(domain).is_some_and(|head| head.ends_with('.'))
}

/// The domain of an address, in lower case.
pub fn domain_of(address: &str) -> Option<String> {
    let (_, domain) = address.rsplit_once('@')?;
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-');
    (!domain.is_empty() && domain.chars().all(fits)).then(|| domain.to_lowercase())
}

/// The places to ask for a domain, with a sign-in.
pub fn candidates(domain: &str) -> Vec<(Url, Form)> {
    let hosts = [domain.to_owned(), format!("autodiscover.{domain}")];
    let paths = [("svc", Form::Soap), ("xml", Form::Pox)];
    let all = hosts.iter().flat_map(|host| {
        paths.iter().filter_map(move |(end, form)| {
            let url = format!("https://{host}/autodiscover/autodiscover.{end}").parse().ok()?;
            Some((url, *form))
        })
    });
    all.collect()
}

fn plain_candidate(domain: &str) -> Option<Url> {
    format!("http://autodiscover.{domain}/autodiscover/autodiscover.xml").parse().ok()
}

fn form_of(url: &Url) -> Form {
    if url.path().to_ascii_lowercase().ends_with(".svc") { Form::Soap } else { Form::Pox }
}

fn soap_question(url: &Url, address: &str) -> String {
    let mut xml = Xml::new();
    let spaces = [
        ("xmlns:s", "http://schemas.xmlsoap.org/soap/envelope/"),
        ("xmlns:a", SOAP_SPACE),
        ("xmlns:w", "http://www.w3.org/2005/08/addressing"),
    ];
    xml.element("s:Envelope", &spaces, |xml| {
        xml.element("s:Header", &[], |xml| {
            xml.text("a:RequestedServerVersion", &[], "Exchange2013");
            xml.text("w:Action", &[], SOAP_ACTION);
            xml.text("w:To", &[], url.as_str());
        });
        xml.element("s:Body", &[], |xml| {
            xml.element("a:GetUserSettingsRequestMessage", &[], |xml| {
                xml.element("a:Request", &[], |xml| {
                    xml.element("a:Users", &[], |xml| {
                        xml.element("a:User", &[], |xml| xml.text("a:Mailbox", &[], address));
                    });
                    xml.element("a:RequestedSettings", &[], |xml| {
                        SETTINGS.iter().for_each(|name| xml.text("a:Setting", &[], name));
                    });
                });
            });
        });
    });
    xml.into_string()
}

fn pox_question(address: &str) -> String {
    let mut xml = Xml::new();
    xml.element("Autodiscover", &[("xmlns", POX_REQUEST)], |xml| {
        xml.element("Request", &[], |xml| {
            xml.text("EMailAddress", &[], address);
            xml.text("AcceptableResponseSchema", &[], POX_ANSWER);
        });
    });
    xml.into_string()
}

fn read_response(response: &Response, form: Form) -> Result<Told, Miss> {
    if !response.status.is_success() {
        return Err(Miss::Status(response.status));
    }
    let text = std::str::from_utf8(&response.body).map_err(|_| Miss::Malformed)?;
    read(text, form).ok_or(Miss::Malformed)
}

/// Reads an answer; nothing if it is none.
pub fn read(text: &str, form: Form) -> Option<Told> {
    let options = ParsingOptions { nodes_limit: NODES_MAX, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text.trim_start_matches('\u{FEFF}'), options).ok()?;
    match form {
        Form::Soap => read_soap(document.root_element()),
        Form::Pox => read_pox(document.root_element()),
    }
}

fn read_soap(envelope: Node<'_, '_>) -> Option<Told> {
    let message = child(envelope, "Body")?.first_element_child()?;
    let response = child(message, "Response")?;
    let user = grandchildren(response, "UserResponses").into_iter().next();
    let said = user.unwrap_or(response);
    let code = child_text(said, "ErrorCode").unwrap_or_default();
    let target = || child_text(said, "RedirectTarget").filter(|target| !target.trim().is_empty());
    match code.as_str() {
        "RedirectUrl" => return Some(Told::Url(target()?)),
        "RedirectAddress" => return Some(Told::Address(target()?)),
        "NoError" => {}
        code => return Some(Told::Nothing(format!("it answered {}", soap::clean(code)))),
    }
    let settings = grandchildren(said, "UserSettings");
    let value = |name: &&str| {
        let setting = settings.iter().find(|setting| child_text(**setting, "Name").as_deref() == Some(*name))?;
        child_text(*setting, "Value").filter(|value| !value.trim().is_empty())
    };
    let found = SETTINGS.iter().find_map(value);
    Some(found.map_or_else(|| Told::Nothing("it knows no EWS for this mailbox".to_owned()), Told::Ews))
}

fn read_pox(root: Node<'_, '_>) -> Option<Told> {
    if root.tag_name().name() != "Autodiscover" {
        return None;
    }
    let response = child(root, "Response")?;
    if let Some(error) = child(response, "Error") {
        let words = child_text(error, "Message").or_else(|| child_text(error, "ErrorCode")).unwrap_or_default();
        return Some(Told::Nothing(format!("it answered: {}", soap::clean(&words))));
    }
    let account = child(response, "Account")?;
    let text =
        |name: &str| child_text(account, name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    match text("Action").as_deref() {
        Some("redirectUrl") => return Some(Told::Url(text("RedirectUrl")?)),
        Some("redirectAddr") => return Some(Told::Address(text("RedirectAddr")?)),
        _ => {}
    }
    let protocols: Vec<_> = account.children().filter(|node| node.tag_name().name() == "Protocol").collect();
    // EXPR is how Outlook comes from outside, EXCH from inside.
    let found = ["EXPR", "EXCH"].iter().find_map(|kind| {
        let protocol = protocols.iter().find(|protocol| child_text(**protocol, "Type").as_deref() == Some(*kind))?;
        child_text(*protocol, "EwsUrl").map(|url| url.trim().to_owned()).filter(|url| !url.is_empty())
    });
    Some(found.map_or_else(|| Told::Nothing("it knows no EWS for this mailbox".to_owned()), Told::Ews))
}
