//! The people of a tenant's directory.
//!
//! Promises: what is looked for is compared again here, since the server compares without regard to what was meant. Needs the
//! right User.Read.All. Must not know: CRM users, events.

use super::GraphConnector;
use super::client::Act;
use super::wire;
use crate::connector::Error;
use crate::model::{Address, DirectoryEntry, User, UserId};

const SELECT: &str = "id,userPrincipalName,mail,givenName,surname,displayName,accountEnabled,proxyAddresses";

impl GraphConnector {
    /// Everybody.
    pub(super) async fn all_people(&self) -> Result<Vec<User>, Error> {
        let act = Act::of_tenant("read the directory");
        let url = self.client.at(&["users"], &[("$select", SELECT), ("$top", "999")]);
        let users: Vec<wire::User> = self.client.list(act, url).await?;
        Ok(users.into_iter().map(user).collect())
    }

    /// Those with this address (any of theirs), or this name.
    pub(super) async fn look_up(&self, wanted: &str) -> Result<Vec<DirectoryEntry>, Error> {
        let act = Act::of_tenant("look into the directory");
        let filter = filter(wanted.trim());
        let url = self.client.at(&["users"], &[("$filter", filter.as_str()), ("$select", SELECT)]);
        let found: Vec<wire::User> = self.client.list(act, url).await?;
        Ok(found.into_iter().map(entry).filter(|entry| entry.answers_to(wanted)).collect())
    }
}

/// An address is looked for among all addresses; a name as it is shown, and with each of its blanks between first and last name.
fn filter(wanted: &str) -> String {
    let text = wire::quoted(wanted);
    if wanted.contains('@') {
        return format!(
            "mail eq '{text}' or userPrincipalName eq '{text}' or proxyAddresses/any(p:p eq 'smtp:{text}') or proxyAddresses/any(p:p eq 'SMTP:{text}')"
        );
    }
    let mut tests = vec![format!("displayName eq '{text}'")];
    for (at, _) in wanted.match_indices(' ').take(4) {
        let (first, last) = (wanted.get(..at).unwrap_or_default(), wanted.get(at + 1..).unwrap_or_default());
        let (first, last) = (wire::quoted(first.trim()), wire::quoted(last.trim()));
        tests.push(format!("(givenName eq '{first}' and surname eq '{last}')"));
    }
    tests.join(" or ")
}

/// Without an address of its own, the principal name stands for it if it has the form of one.
fn address(found: &wire::User) -> Address {
    let own = found.mail.as_deref().filter(|mail| !mail.is_empty()).or(found.user_principal_name.as_deref());
    Address::new(own.filter(|own| own.contains('@')).unwrap_or_default())
}

fn user(found: wire::User) -> User {
    User {
        address: address(&found),
        id: UserId(found.id),
        first_name: found.given_name.or(found.display_name).unwrap_or_default(),
        last_name: found.surname.unwrap_or_default(),
        logon: found.user_principal_name.unwrap_or_default(),
        active: found.account_enabled.unwrap_or(true),
        resource: false,
    }
}

fn entry(found: wire::User) -> DirectoryEntry {
    let address = address(&found);
    let named = found.proxy_addresses.iter().flatten().filter_map(|text| {
        let (kind, own) = text.split_once(':')?;
        kind.eq_ignore_ascii_case("smtp").then(|| Address::new(own))
    });
    let principal = found.user_principal_name.as_deref().filter(|name| name.contains('@')).map(Address::new);
    let mut aliases: Vec<Address> = named.chain(principal).filter(|own| *own != address).collect();
    aliases.sort();
    aliases.dedup();
    DirectoryEntry {
        name: found.display_name.unwrap_or_default(),
        first_name: found.given_name.unwrap_or_default(),
        last_name: found.surname.unwrap_or_default(),
        address,
        aliases,
    }
}
