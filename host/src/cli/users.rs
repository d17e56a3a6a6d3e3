//! `daybridge users ...`: who takes part in the sync, with which mailbox, and who does not.

use clap::{Args, Subcommand};

use super::host::Host;
use super::output::{count, line, table};
use super::{Failure, HostChoice, output};
use crate::control::{UserInfo, UserList, UserOrder, UserState};

#[derive(Subcommand)]
pub(super) enum Command {
    /// List the CRM's users with their mailboxes, and why some take no part.
    List(ListArguments),
    /// Look for the users' mailboxes in the Exchange directory: by address, by name, by rules. Who was disabled stays so.
    Sync(ListArguments),
    /// Take a user into the sync again.
    Enable(UserArguments),
    /// Take a user out of the sync: the mailbox is not read any more, and nothing is deleted.
    Disable(UserArguments),
}

#[derive(Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    host: HostChoice,
    /// Print one JSON object per user.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct UserArguments {
    /// The CRM user's login, id or e-mail address.
    user: String,
    #[command(flatten)]
    host: HostChoice,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list(arguments, false).await,
        Command::Sync(arguments) => list(arguments, true).await,
        Command::Enable(arguments) => set(arguments, true).await,
        Command::Disable(arguments) => set(arguments, false).await,
    }
}

async fn list(arguments: &ListArguments, sync: bool) -> Result<(), Failure> {
    let host = Host::find(&arguments.host).await?;
    let listed = if sync { host.sync_users().await } else { host.users().await };
    host.close().await;
    let listed = listed?;
    if arguments.json {
        return listed.users.iter().try_for_each(output::json);
    }
    show(&listed);
    Ok(())
}

async fn set(arguments: &UserArguments, enabled: bool) -> Result<(), Failure> {
    let host = Host::find(&arguments.host).await?;
    let user = host.set_user(&UserOrder { user: arguments.user.clone(), enabled }).await;
    host.close().await;
    let user = user?;
    if arguments.json {
        return output::json(&user);
    }
    line(&match (&user.state, &user.mailbox, &user.reason) {
        (UserState::Synchronized, Some(mailbox), _) => format!("{} takes part with the mailbox {mailbox}.", user.login),
        (UserState::Disabled, ..) => format!("{} takes no part any more; nothing was deleted.", user.login),
        (_, _, reason) => format!("{} takes no part: {}", user.login, reason.as_deref().unwrap_or("-")),
    });
    Ok(())
}

fn show(list: &UserList) {
    let rows: Vec<Vec<String>> = list.users.iter().map(row).collect();
    table(&["USER", "NAME", "MAILBOX", "SERVER", "FOUND BY", "STATE"], &rows);
    for user in &list.users {
        if let Some(reason) = user.reason.as_ref().filter(|_| user.state == UserState::LeftOut) {
            line(&format!("\n{}: {reason}", user.login));
        }
    }
    for trouble in &list.troubles {
        line(&format!("\n{}\n  {}", trouble.message, trouble.hint));
    }
    let taking_part = list.users.iter().filter(|user| user.state == UserState::Synchronized).count() as u64;
    line(&format!("\n{} of {} take part.", taking_part, count(list.users.len() as u64, "user", "users")));
}

fn row(user: &UserInfo) -> Vec<String> {
    let text = |value: &Option<String>| output::or_dash(value.as_deref().unwrap_or_default());
    vec![
        user.login.clone(),
        output::or_dash(&user.name),
        text(&user.mailbox),
        text(&user.server),
        text(&user.matched),
        user.state.name().to_owned(),
    ]
}
