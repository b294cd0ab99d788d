//! The daemon's own self, at a Glance: for what no client waits for; and at Keystone, whose a client's token is.

use http::{HeaderValue, StatusCode};
use icewell::ImageId;

use crate::error::{Error, chain};
use crate::keystone::{Session, Subject, Token};
use crate::origin::{Answer, Ask, Glance, NoAnswer};

/// Who asks a Glance, or Keystone, with a token of its own.
#[derive(Debug)]
pub(crate) struct Service(Session);

impl Service {
    pub(crate) fn new(session: Session) -> Self {
        Service(session)
    }

    /// Logs in where that is needed.
    ///
    /// # Errors
    ///
    /// Why there is no token.
    pub(crate) async fn log_in(&self) -> Result<(), Error> {
        self.0.token().await.map(drop)
    }

    /// Asks Glance; once more with a new token where it does not take the one at hand. A revoked token looks good to us
    /// until then.
    pub(crate) async fn ask(&self, glance: &Glance, ask: Ask) -> Result<Answer, NoAnswer> {
        Ok(self.ask_as(glance, ask).await?.1)
    }

    /// Whether Glance surely has no such image. To who is no administrator it denies images that exist: then nothing is
    /// sure.
    pub(crate) async fn is_gone(&self, glance: &Glance, id: &ImageId) -> Result<bool, NoAnswer> {
        let (token, answer) = self.ask_as(glance, Glance::ask_for_description(id)).await?;
        Ok(token.admin && answer.status == StatusCode::NOT_FOUND)
    }

    /// Asks Keystone whose token `subject` is; once more with a new token of our own where it does not take the one at
    /// hand.
    pub(crate) async fn ask_about(&self, subject: &HeaderValue) -> Result<Subject, NoAnswer> {
        let token = self.token().await?;
        if let Some(told) = self.0.ask_about(&token, subject).await? {
            return Ok(told);
        }
        self.0.forget(&token).await;
        let token = self.token().await?;
        let refused = || NoAnswer {
            status: StatusCode::BAD_GATEWAY,
            reason: "it refuses the token that it has just given to the daemon (401)".into(),
        };
        self.0.ask_about(&token, subject).await?.ok_or_else(refused)
    }

    async fn ask_as(&self, glance: &Glance, ask: Ask) -> Result<(Token, Answer), NoAnswer> {
        let token = self.token().await?;
        let answer = glance.ask(&with(&token, &ask)).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok((token, answer));
        }
        self.0.forget(&token).await;
        let token = self.token().await?;
        let answer = glance.ask(&with(&token, &ask)).await?;
        Ok((token, answer))
    }

    async fn token(&self) -> Result<Token, NoAnswer> {
        let no_token = |error| NoAnswer { status: StatusCode::BAD_GATEWAY, reason: chain(&error) };
        self.0.token().await.map_err(no_token)
    }
}

fn with(token: &Token, ask: &Ask) -> Ask {
    let mut ask = ask.clone();
    ask.headers.extend(token.field());
    ask
}
