//! The people of the story: who they are on each server.

use super::wire::{Crm, Outlook};
use super::{CRM_ZONE, DemoError, Stage};

/// The organizer's logon in the CRM.
const ORGANIZER: &str = "susan.maye";
/// Her colleague's.
const COLLEAGUE: &str = "terry.smith";
/// A customer, outside both servers.
pub(super) const CUSTOMER: &str = "ann.lee@client.test";

/// A CRM user with a mailbox.
pub(super) struct Person {
    pub name: String,
    pub address: String,
    /// Id of the CRM user.
    pub id: i64,
    pub crm: Crm,
    pub outlook: Outlook,
}

pub(super) async fn organizer(stage: &Stage) -> Result<Person, DemoError> {
    person(stage, ORGANIZER).await
}

pub(super) async fn colleague(stage: &Stage) -> Result<Person, DemoError> {
    person(stage, COLLEAGUE).await
}

async fn person(stage: &Stage, logon: &str) -> Result<Person, DemoError> {
    let nobody = || DemoError::new(format!("the simulators do not know {logon}"));
    let user = stage.crm.users().into_iter().find(|user| user.login == logon).ok_or_else(nobody)?;
    let mut mailboxes = stage.exchange.users().into_iter();
    let mailbox = mailboxes.find(|mailbox| mailbox.address.eq_ignore_ascii_case(&user.address)).ok_or_else(nobody)?;
    let crm = Crm::new(&stage.crm.crm_url(), &user.login, &user.password, CRM_ZONE)?;
    let outlook = Outlook::new(&stage.exchange.ews_url(), &mailbox.login, &mailbox.password)?;
    let id = crm.user_id(logon).await?;
    Ok(Person { name: user.name, address: user.address.to_lowercase(), id, crm, outlook })
}
