//! CRM users and their mailboxes: the answers to [`UserDesk`].
//!
//! Promises: a user who was taken out of the sync is neither looked for nor taken in again. What a directory did not answer
//! changes nothing. Must not know: HTTP, the command line.

use std::sync::Arc;

use async_trait::async_trait;

use super::App;
use crate::connector::{Connector, Problem};
use crate::control::{Reason, Refusal, RefusalKind, UserDesk, UserInfo, UserList, UserOrder, UserState};
use crate::model::{Container, DirectoryEntry, Person, User};
use crate::people::{Absence, DirectoryMatch, Found, Means, in_directory};
use crate::rules::Rules;
use crate::store::StoreError;
use crate::worker::Trouble;

/// In how many other people's names a directory is asked at most.
const NAMES_MAX: usize = 2;

#[async_trait]
impl UserDesk for App {
    async fn users(&self) -> Result<UserList, Refusal> {
        self.read_people().await?;
        Ok(UserList { users: self.user_infos(), troubles: Vec::new() })
    }

    async fn sync_users(&self) -> Result<UserList, Refusal> {
        self.read_people().await?;
        let mut troubles = self.find_by_directory().await?;
        self.read_people().await?;
        troubles.extend(self.find_by_rules().await?);
        self.read_people().await?;
        Ok(UserList { users: self.user_infos(), troubles })
    }

    async fn set_user(&self, order: &UserOrder) -> Result<UserInfo, Refusal> {
        self.read_people().await?;
        let user = self.user_named(&order.user)?;
        self.roster.decide(&user.id, |standing| standing.disabled = !order.enabled).await.map_err(not_kept)?;
        let act = if order.enabled { "into" } else { "out of" };
        tracing::info!(user.id = user.id.0, "A person took CRM user {} {act} the sync", user.id.0);
        self.read_people().await?;
        let infos = self.user_infos();
        infos.into_iter().find(|info| info.id == user.id.0).ok_or_else(|| unknown(&order.user))
    }
}

impl App {
    /// Reads the CRM's users, and has the feeds follow who takes part now.
    async fn read_people(&self) -> Result<(), Refusal> {
        self.feeds.refresh_people().await.map_err(|trouble| {
            Refusal::new(RefusalKind::NotNow, &trouble.code(), trouble.to_string(), trouble.hint())
        })?;
        self.feeds.follow_people();
        Ok(())
    }

    fn user_infos(&self) -> Vec<UserInfo> {
        let people = self.servers.people();
        let info = |user: &User| {
            let absence = people.left_out.iter().find(|(other, _)| other.id == user.id).map(|(_, absence)| absence);
            let mailbox = people.mailbox_of(&user.id);
            UserInfo {
                id: user.id.0.clone(),
                login: user.logon.clone(),
                name: user.display_name(),
                address: user.address.as_str().to_owned(),
                resource: user.resource,
                state: match absence {
                    None => UserState::Synchronized,
                    Some(Absence::TakenOut(_)) => UserState::Disabled,
                    Some(_) => UserState::LeftOut,
                },
                reason: absence.map(ToString::to_string),
                mailbox: mailbox.map(|mailbox| mailbox.address.as_str().to_owned()),
                server: mailbox.map(|mailbox| mailbox.server.clone()),
                matched: mailbox.map(|mailbox| mailbox.means.name().to_owned()),
            }
        };
        let mut infos: Vec<UserInfo> = people.users.iter().map(info).collect();
        infos.sort_by_key(|info| (info.login.to_lowercase(), info.id.clone()));
        infos
    }

    /// The one user a person means.
    fn user_named(&self, named: &str) -> Result<User, Refusal> {
        let people = self.servers.people();
        let named = named.trim();
        let is_meant = |user: &&User| {
            user.id.0 == named
                || user.logon.eq_ignore_ascii_case(named)
                || (!user.address.is_empty() && user.address.folded() == named.to_lowercase())
        };
        let meant: Vec<&User> = people.users.iter().filter(is_meant).collect();
        match meant.as_slice() {
            [one] => Ok((*one).clone()),
            [] => Err(unknown(named)),
            several => Err(Refusal::new(
                RefusalKind::Invalid,
                "user-not-clear",
                format!("{} CRM users are meant by {named}", several.len()),
                "name the user by login or id, as `daybridge users list` shows them",
            )),
        }
    }

    /// Looks for every user's mailbox in the directories, and keeps what is found.
    async fn find_by_directory(&self) -> Result<Vec<Reason>, Refusal> {
        let mut troubles: Vec<Reason> = Vec::new();
        for user in &self.servers.people().users {
            let standing = self.roster.standings().remove(&user.id);
            if self.feeds.matching().absence(user, standing.as_ref()).is_some() {
                continue;
            }
            let found = match self.in_directories(user).await {
                Ok(Looked::One(found)) => found,
                Ok(Looked::Several(count)) => {
                    troubles.push(several(user, count));
                    None
                }
                Err(trouble) => {
                    let reason = Reason { code: trouble.code(), message: trouble.to_string(), hint: trouble.hint() };
                    if !troubles.contains(&reason) {
                        troubles.push(reason);
                    }
                    continue;
                }
            };
            let by_rule = standing.and_then(|standing| standing.found).filter(|found| found.means == Means::Rule);
            let found = found.or(by_rule);
            self.roster.decide(&user.id, |standing| standing.found = found).await.map_err(not_kept)?;
        }
        Ok(troubles)
    }

    /// Looks for one user in every directory: by address, then by name.
    async fn in_directories(&self, user: &User) -> Result<Looked, Trouble> {
        let by_name =
            self.config.users.names && !user.first_name.trim().is_empty() && !user.last_name.trim().is_empty();
        let name = format!("{} {}", user.first_name.trim(), user.last_name.trim());
        let wanted = [(!user.address.is_empty()).then(|| user.address.as_str().to_owned()), by_name.then_some(name)];
        for wanted in wanted.into_iter().flatten() {
            let mut entries: Vec<DirectoryEntry> = Vec::new();
            for server in self.servers.exchange() {
                entries.extend(self.look_up(server, user, &wanted).await?);
            }
            entries.sort_by(|one, other| one.address.cmp(&other.address));
            entries.dedup_by(|one, other| one.address == other.address);
            match in_directory(user, &entries) {
                DirectoryMatch::One(entry) => return Ok(Looked::One(found(user, entry))),
                DirectoryMatch::Several(several) => return Ok(Looked::Several(several.len())),
                DirectoryMatch::Nobody => {}
            }
        }
        Ok(Looked::One(None))
    }

    /// Asks a server's directory in the name of a mailbox that takes part: another than the user's own, which is in question; a few
    /// of them, where one is not there.
    async fn look_up(
        &self,
        server: &Arc<dyn Connector>,
        user: &User,
        wanted: &str,
    ) -> Result<Vec<DirectoryEntry>, Trouble> {
        let own = Container::Mailbox(user.address.clone());
        let mut names = self.servers.people().containers(server.name());
        names.retain(|container| *container != own);
        names.truncate(NAMES_MAX);
        names.push(own);
        let mut refused = None;
        for within in names {
            // The directory is asked, not the calendar: it does not matter which host keeps that.
            match self.worker.ask_anyone(server, &within, server.find_people(&within, wanted)).await {
                Err(trouble) if is_absent(&trouble) => {
                    refused.get_or_insert(trouble);
                }
                answer => return answer,
            }
        }
        refused.map_or(Ok(Vec::new()), Err)
    }

    /// Asks the rules about mailboxes that were named and belong to no CRM user.
    async fn find_by_rules(&self) -> Result<Vec<Reason>, Refusal> {
        let people = self.servers.people();
        let rules = self.rules.current();
        let mut free: Vec<User> = people
            .left_out
            .iter()
            .filter(|(_, absence)| absence.may_be_matched())
            .map(|(user, _)| user.clone())
            .collect();
        let mut troubles = Vec::new();
        for mailbox in people.mailboxes().filter(|mailbox| mailbox.user.is_none()) {
            let container = Container::Mailbox(mailbox.address.clone());
            let Some(server) = self.servers.of(&container) else { continue };
            let asked = server.find_people(&container, mailbox.address.as_str());
            let entry = match self.worker.ask_anyone(&server, &container, asked).await {
                Ok(entries) => entries.into_iter().next().unwrap_or_default(),
                Err(trouble) => {
                    troubles.push(Reason { code: trouble.code(), message: trouble.to_string(), hint: trouble.hint() });
                    continue;
                }
            };
            let person = Person { name: entry.name, address: mailbox.address.clone() };
            match rules.match_user(&person, &free).await {
                Ok(Some(id)) if free.iter().any(|user| user.id == id) => {
                    free.retain(|user| user.id != id);
                    let found = Found { address: mailbox.address.clone(), aliases: entry.aliases, means: Means::Rule };
                    self.roster.decide(&id, |standing| standing.found = Some(found)).await.map_err(not_kept)?;
                }
                Ok(_) => {}
                Err(fault) => troubles.push(Reason {
                    code: format!("rule-{}", fault.kind_name()),
                    message: fault.to_string(),
                    hint: format!("mend rule {}", fault.rule),
                }),
            }
        }
        Ok(troubles)
    }
}

/// Whether it is the mailbox in whose name was asked that is not there, or may not be used.
fn is_absent(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::Server { error, .. } if matches!(error.problem, Problem::NoMailbox | Problem::Forbidden))
}

/// What the directories say of a user.
enum Looked {
    /// One mailbox, or none; none as well where the CRM has its address already.
    One(Option<Found>),
    Several(usize),
}

fn found(user: &User, entry: &DirectoryEntry) -> Option<Found> {
    let means = if entry.address == user.address {
        Means::Address
    } else if entry.aliases.contains(&user.address) {
        Means::Alias
    } else {
        Means::Name
    };
    Some(Found { address: entry.address.clone(), aliases: entry.aliases.clone(), means })
}

fn several(user: &User, count: usize) -> Reason {
    Reason {
        code: "user-not-clear".into(),
        message: format!("{count} people of the directory could be CRM user {}", user.logon),
        hint: "give the CRM user the e-mail address of the mailbox".into(),
    }
}

fn unknown(named: &str) -> Refusal {
    Refusal::new(
        RefusalKind::Unknown,
        "user-not-known",
        format!("there is no CRM user {named}"),
        "name the user by login, id or e-mail address, as `daybridge users list` shows them",
    )
}

fn not_kept(error: StoreError) -> Refusal {
    Refusal::new(RefusalKind::Failed, error.code(), super::line(&error), error.hint())
}
