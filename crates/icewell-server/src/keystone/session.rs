//! A token that is good now: one login at a time, renewed before it runs out.

use std::time::Duration;

use http::HeaderValue;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{debug, info};

use super::login::Desk;
use super::{Credentials, Subject, Token};
use crate::error::{Error, chain};
use crate::origin::NoAnswer;

/// How long before its end a token is renewed: a request that has it must arrive in time.
const MARGIN: Duration = Duration::from_secs(120);
/// How long nobody logs in after a login that failed, at first and at most; it doubles each time. A Keystone may lock
/// out who fails often.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// Somebody at a Keystone, logged in when needed.
#[derive(Debug)]
pub(crate) struct Session {
    desk: Desk,
    /// Locked while somebody logs in: the others wait, and find what came of it.
    held: Mutex<Held>,
}

impl Session {
    /// `timeout` is how long Keystone may take to answer.
    pub(crate) fn new(credentials: Credentials, timeout: Duration) -> Result<Self, Error> {
        Ok(Session { desk: Desk::new(credentials, timeout)?, held: Mutex::default() })
    }

    /// A token that Keystone called good for a while yet.
    ///
    /// # Errors
    ///
    /// Why the last login failed, a moment ago at most.
    pub(crate) async fn token(&self) -> Result<Token, Error> {
        let mut held = self.held.lock().await;
        if let Some(found) = held.look(Instant::now()) {
            return found;
        }
        let got = self.desk.log_in().await;
        match &got {
            Ok(token) => {
                info!(who = %self.desk.who(), life = ?token.life, admin = token.admin, "logged in at Keystone")
            }
            // Whoever wants the token says what comes of it.
            Err(error) => debug!(who = %self.desk.who(), error = chain(error), "cannot log in at Keystone"),
        }
        held.take(got, Instant::now())
    }

    /// Asks Keystone whose token `subject` is, in the name of `own`; none where it does not take that.
    ///
    /// # Errors
    ///
    /// Keystone does not say.
    pub(crate) async fn ask_about(&self, own: &Token, subject: &HeaderValue) -> Result<Option<Subject>, NoAnswer> {
        self.desk.ask_about(own, subject).await
    }

    /// A service refused this token: it is not used again.
    pub(crate) async fn forget(&self, refused: &Token) {
        let mut held = self.held.lock().await;
        held.token = held.token.take().filter(|held| held.token != *refused);
    }
}

impl Credentials {
    /// Logs in once, and gives the token for the field `X-Auth-Token`. Blocks; `timeout` is how long Keystone may take.
    ///
    /// # Errors
    ///
    /// Keystone does not answer, refuses the credentials, or is no Keystone.
    pub fn token_blocking(&self, timeout: Duration) -> Result<String, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Error::new("cannot start the runtime").with_source(error))?;
        let token = runtime.block_on(async { Desk::new(self.clone(), timeout)?.log_in().await })?;
        let text = token.field().values().next().and_then(|value| value.to_str().ok().map(str::to_owned));
        text.ok_or_else(|| Error::new("Keystone's token is no text"))
    }
}

/// What is known from earlier logins.
#[derive(Debug, Default)]
struct Held {
    token: Option<HeldToken>,
    failure: Option<Failure>,
}

#[derive(Debug)]
struct HeldToken {
    token: Token,
    /// None where it cannot be renewed.
    times: Option<Times>,
}

#[derive(Debug)]
struct Times {
    renew: Instant,
    end: Instant,
}

#[derive(Debug)]
struct Failure {
    why: String,
    until: Instant,
    next: Duration,
}

impl Held {
    /// What is to be said without a login, if anything.
    fn look(&self, now: Instant) -> Option<Result<Token, Error>> {
        let held = self.token.as_ref();
        if let Some(held) = held.filter(|held| held.times.as_ref().is_none_or(|times| now < times.renew)) {
            return Some(Ok(held.token.clone()));
        }
        let failure = self.failure.as_ref().filter(|failure| now < failure.until)?;
        Some(self.still_good(now).ok_or_else(|| Error::new(failure.why.clone())))
    }

    /// Takes what came of a login; what is to be said then.
    fn take(&mut self, got: Result<Token, Error>, now: Instant) -> Result<Token, Error> {
        match got {
            Ok(token) => {
                let times = token.life.map(|life| {
                    // Where tokens are short-lived, most of the life is used all the same.
                    let margin = MARGIN.min(life / 4);
                    Times { renew: now + (life - margin), end: now + life }
                });
                *self = Held { token: Some(HeldToken { token: token.clone(), times }), failure: None };
                Ok(token)
            }
            Err(error) => {
                let wait = self.failure.as_ref().map_or(BACK_OFF.0, |failure| failure.next);
                let next = (wait * 2).min(BACK_OFF.1);
                self.failure = Some(Failure { why: chain(&error), until: now + wait, next });
                self.still_good(now).ok_or(error)
            }
        }
    }

    /// A token that should be renewed and could not be is good until its end.
    fn still_good(&self, now: Instant) -> Option<Token> {
        let held = self.token.as_ref()?;
        held.times.as_ref().is_none_or(|times| now < times.end).then(|| held.token.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const SECOND: Duration = Duration::from_secs(1);

    fn first() -> Token {
        Token::of("first", Some(HOUR))
    }

    fn no_keystone<T>() -> Result<T, Error> {
        Err(Error::new("no Keystone"))
    }

    #[test]
    fn a_token_is_renewed_before_it_ends() {
        let (mut held, now) = (Held::default(), Instant::now());
        assert!(held.look(now).is_none(), "somebody has to log in");
        assert_eq!(held.take(Ok(first()), now).unwrap(), first());
        assert_eq!(held.look(now + HOUR - MARGIN - SECOND).unwrap().unwrap(), first());
        assert!(held.look(now + HOUR - MARGIN).is_none());
        let second = Token::of("second", Some(4 * SECOND));
        assert_eq!(held.take(Ok(second.clone()), now).unwrap(), second);
        assert_eq!(held.look(now + 2 * SECOND).unwrap().unwrap(), second, "a short life is used, too");
        assert!(held.look(now + 3 * SECOND).is_none());
    }

    #[test]
    fn a_token_that_cannot_be_renewed_is_good_to_its_end() {
        let (mut held, now) = (Held::default(), Instant::now());
        held.take(Ok(first()), now).unwrap();
        let late = now + HOUR - SECOND;
        assert_eq!(held.take(no_keystone(), late).unwrap(), first());
        assert_eq!(held.look(late).unwrap().unwrap(), first());
        assert!(held.look(late + SECOND).is_none(), "tried again");
        assert!(held.take(no_keystone(), late + SECOND).is_err());
    }

    #[test]
    fn a_failure_is_told_again_for_longer_each_time() {
        let (mut held, mut now) = (Held::default(), Instant::now());
        for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            assert!(held.take(no_keystone(), now).is_err());
            now += wait * SECOND;
            let told = held.look(now - SECOND / 2).unwrap().unwrap_err();
            assert_eq!(told.to_string(), "no Keystone");
            assert!(held.look(now).is_none());
        }
        held.take(Ok(first()), now).unwrap();
        held.token = None;
        assert!(held.look(now).is_none(), "who got in and was refused elsewhere logs in at once");
    }

    #[test]
    fn a_given_token_has_no_end() {
        let (mut held, now) = (Held::default(), Instant::now());
        held.take(Ok(Token::of("given", None)), now).unwrap();
        assert_eq!(held.look(now + 1000 * HOUR).unwrap().unwrap(), Token::of("given", None));
    }

    #[tokio::test]
    async fn a_refused_token_is_forgotten_and_a_newer_one_kept() {
        let session = Session::new(Credentials::from_token("given").unwrap(), SECOND).unwrap();
        let token = session.token().await.unwrap();
        session.forget(&Token::of("another", None)).await;
        assert!(session.held.lock().await.token.is_some());
        session.forget(&token).await;
        assert!(session.held.lock().await.token.is_none());
    }

    /// Answers every login with a token; how many there were.
    fn serve_logins(listener: std::net::TcpListener) -> Arc<AtomicUsize> {
        let logins = Arc::new(AtomicUsize::new(0));
        let counted = logins.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (mut client, mut request) = (client.unwrap(), Vec::new());
                // The body is one line of JSON, whose last braces end it.
                while !request.ends_with(b"}}}}}") {
                    let mut piece = [0; 4096];
                    let length = client.read(&mut piece).unwrap();
                    request.extend_from_slice(&piece[..length]);
                }
                counted.fetch_add(1, Ordering::SeqCst);
                let text = "{\"token\": {}}";
                let head =
                    format!("HTTP/1.1 201 Created\r\nX-Subject-Token: t\r\nContent-Length: {}\r\n\r\n", text.len());
                client.write_all((head + text).as_bytes()).unwrap();
            }
        });
        logins
    }

    #[tokio::test]
    async fn many_who_need_a_token_at_once_log_in_once() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let logins = serve_logins(listener);
        let fields = [("auth_url", &*url), ("user_id", "1f"), ("password", "p")];
        let credentials = Credentials::from_fields(fields.map(|(name, value)| (name, value.to_owned()))).unwrap();
        let session = Session::new(credentials, 60 * SECOND).unwrap();
        let tokens = futures_util::future::join_all((0..10).map(|_| session.token())).await;
        assert!(tokens.iter().all(Result::is_ok), "{tokens:?}");
        assert_eq!(logins.load(Ordering::SeqCst), 1);
    }
}
