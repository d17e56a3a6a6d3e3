//! Which host this is: an id that its data folder keeps, and the machine it runs on.
//!
//! Promises: the id is made once and stays with the data folder, whatever becomes of the store in it; a folder that is copied to
//! another machine is another host. Must not know: what it is good for.

use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

/// In the data folder.
const FILE: &str = "host-id";
/// A machine's name is cut to this many characters.
const NAME_MAX: usize = 64;

/// One host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostIdentity {
    id: Uuid,
    machine: String,
}

/// Why a host does not know itself.
#[derive(Debug, thiserror::Error)]
#[error("use {FILE} in the data folder")]
pub struct IdentityError(#[source] io::Error);

impl HostIdentity {
    /// Reads the id that the data folder keeps, or makes it.
    ///
    /// # Errors
    /// [`IdentityError`] if the file can neither be read nor made, or holds something else.
    pub fn of_folder(data: &Path) -> Result<Self, IdentityError> {
        let name = hostname::get().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let machine: String = name.chars().filter(|character| !character.is_whitespace()).take(NAME_MAX).collect();
        let machine = if machine.is_empty() { "unnamed".to_owned() } else { machine };
        Ok(Self { id: id(data).map_err(IdentityError)?, machine })
    }

    /// How this host is written down as the owner of something.
    pub fn claim(&self, since: DateTime<Utc>) -> Claim {
        Claim { id: self.id.to_string(), machine: self.machine.clone(), since: Some(since) }
    }
}

fn id(data: &Path) -> io::Result<Uuid> {
    let path = data.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let parsed = text.trim().parse();
            return parsed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    std::fs::create_dir_all(data)?;
    let id = Uuid::new_v4();
    // Whole or not at all, whenever the power fails.
    let mut file = tempfile::NamedTempFile::new_in(data)?;
    writeln!(file, "{id}")?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(id)
}

/// What an owner leaves: who, on which machine, since when. No more than that is told to whoever can read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    id: String,
    /// The machine's name.
    pub machine: String,
    /// None for a claim of another kind of program.
    pub since: Option<DateTime<Utc>>,
}

impl Claim {
    pub fn is_of(&self, host: &HostIdentity) -> bool {
        self.id == host.id.to_string() && self.machine == host.machine
    }

    /// Reads what [`Claim`]'s `Display` wrote. Anything else is a claim of somebody unknown.
    pub fn read(text: &str) -> Self {
        let mut words = text.split_whitespace();
        let (id, since, machine) = (words.next(), words.next(), words.next());
        let since = since.and_then(|text| DateTime::parse_from_rfc3339(text).ok()).map(|at| at.to_utc());
        match (id, since, machine) {
            (Some(id), Some(since), Some(machine)) => {
                Self { id: id.to_owned(), machine: machine.chars().take(NAME_MAX).collect(), since: Some(since) }
            }
            _ => Self { id: String::new(), machine: "an unknown machine".to_owned(), since: None },
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.since.unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true);
        write!(f, "{} {since} {}", self.id, self.machine)
    }
}
