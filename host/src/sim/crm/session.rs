//! Who is asking: Basic sign-in in either of two headers, or a session id in the address.
//!
//! Promises: a user who is disabled, a resource or removed is refused from that moment on, also with an old session.
//! Must not know: what is asked for.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::database::Database;
use super::refusal::Refusal;
use super::schema::USERS;
use super::seed::Login;

/// Open sessions; the oldest is thrown out by one more, as no client of a simulator needs many.
const SESSIONS_MAX: usize = 1_000;
/// Sage CRM takes the same value here where a proxy keeps `Authorization` for itself.
const SAGE_AUTHORIZATION: &str = "X-Sage-Authorization";

/// Logins and open sessions.
#[derive(Debug)]
pub struct SignIn {
    logins: Vec<Login>,
    sessions: Mutex<VecDeque<(String, i32)>>,
}

impl SignIn {
    pub fn new(logins: Vec<Login>) -> Self {
        Self { logins, sessions: Mutex::default() }
    }

    pub fn logins(&self) -> &[Login] {
        &self.logins
    }

    /// The id of the user who asks.
    ///
    /// # Errors
    /// 401 without a challenge, for every reason alike.
    pub fn caller(&self, headers: &HeaderMap, sid: Option<&str>, database: &Database) -> Result<i32, Refusal> {
        let user = match sid {
            Some(sid) => self.sessions().iter().find(|(open, _)| open == sid).map(|(_, user)| *user),
            None => basic(headers).and_then(|(login, password)| self.known(&login, &password)),
        };
        user.filter(|user| may_log_on(*user, database))
            .ok_or_else(|| Refusal::sign_in("the user may not log on, or login and password do not fit"))
    }

    /// Opens a session and answers its id.
    ///
    /// # Errors
    /// 401 as above.
    pub fn open(&self, login: &str, password: &str, database: &Database) -> Result<String, Refusal> {
        let user = self
            .known(login, password)
            .filter(|user| may_log_on(*user, database))
            .ok_or_else(|| Refusal::sign_in("the user may not log on, or login and password do not fit"))?;
        let sid = uuid::Uuid::new_v4().simple().to_string();
        let mut sessions = self.sessions();
        if sessions.len() >= SESSIONS_MAX {
            sessions.pop_front();
        }
        sessions.push_back((sid.clone(), user));
        Ok(sid)
    }

    fn known(&self, login: &str, password: &str) -> Option<i32> {
        let known = self.logins.iter().find(|known| known.login.eq_ignore_ascii_case(login))?;
        (known.password == password).then_some(known.id)
    }

    fn sessions(&self) -> MutexGuard<'_, VecDeque<(String, i32)>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(SAGE_AUTHORIZATION).or_else(|| headers.get(header::AUTHORIZATION))?.to_str().ok()?;
    let (scheme, coded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(coded.trim()).ok()?).ok()?;
    let (login, password) = text.split_once(':')?;
    Some((login.to_owned(), password.to_owned()))
}

fn may_log_on(user: i32, database: &Database) -> bool {
    let Ok(users) = database.table(USERS) else { return false };
    users
        .row(user)
        .is_some_and(|row| !users.value(row, "User_Disabled").is_set() && !users.value(row, "User_Resource").is_set())
}
