//! Hands one message over to a mail server. Knows at which step it was refused, and bounds the time of each step.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use lettre::Message;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Tls, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, MailParameter};
use lettre::transport::smtp::{Error, SMTP_PORT, SUBMISSION_PORT, SUBMISSIONS_PORT};
use percent_encoding::percent_decode_str;
use url::Url;

/// How long the mail server may take to be reached, and for each command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the mail server may take to accept a message that it has received. A client that gives up earlier sends
/// the message twice (RFC 5321, 4.5.3.2.6).
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// How long the end of a connection is waited for.
const QUIT_TIMEOUT: Duration = Duration::from_secs(5);

/// A mail server, and how it is reached.
#[derive(Clone)]
pub struct SmtpServer {
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    tls: Tls,
    credentials: Option<Credentials>,
    hello_name: ClientId,
    command_timeout: Duration,
}

/// Why a message was not handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpError {
    /// What happened, without addresses and secrets.
    pub message: String,
    pub finality: Finality,
}

/// Whether trying again is of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finality {
    /// The same message may be accepted later.
    Retry,
    /// The mail server refuses the recipient for good.
    RecipientRefused,
}

/// The step of a session (RFC 5321, 3; RFC 4954 for the login) that a mail server refused or left unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Greeting,
    Tls,
    Login,
    Sender,
    Recipient,
    Message,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greeting => "the greeting",
            Self::Tls => "STARTTLS",
            Self::Login => "the login",
            Self::Sender => "the sender (MAIL FROM)",
            Self::Recipient => "the recipient (RCPT TO)",
            Self::Message => "the message (DATA)",
        })
    }
}

impl SmtpServer {
    /// Parses `smtp://user:password@host:port` or `smtps://…`. Requires TLS unless the server is on this machine.
    /// Returns `None` for other schemes, and for a URL that is invalid.
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        // For a non-special scheme, `url` returns the host as text, with an IPv6 address in brackets.
        let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
        let is_this_machine = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
        let asks_for_tls = url.query_pairs().any(|(name, value)| name == "tls" && value == "required");
        let certificate = || TlsParameters::new(host.clone()).ok();
        let (tls, port) = match url.scheme() {
            "smtps" => (Tls::Wrapper(certificate()?), SUBMISSIONS_PORT),
            "smtp" if is_this_machine && !asks_for_tls => (Tls::None, SMTP_PORT),
            "smtp" => (Tls::Required(certificate()?), SUBMISSION_PORT),
            _ => return None,
        };
        let decode = |text: &str| percent_decode_str(text).decode_utf8().ok().map(String::from);
        let credentials = match url.password() {
            Some(password) => Some(Credentials::new(decode(url.username())?, decode(password)?)),
            None => None,
        };
        let hello_name = match url.path().trim_matches('/') {
            "" => ClientId::default(),
            name => ClientId::Domain(name.to_owned()),
        };
        let port = url.port().unwrap_or(port);
        Some(Self { host, port, tls, credentials, hello_name, command_timeout: COMMAND_TIMEOUT })
    }

    /// Hands a message over, and returns when the mail server has taken responsibility for it.
    pub async fn send(&self, message: &Message) -> Result<(), SmtpError> {
        let mut connection = self.connect().await?;
        let sent = self.transfer(&mut connection, message).await;
        // The message is accepted or not, however the connection ends.
        _ = tokio::time::timeout(QUIT_TIMEOUT, connection.quit()).await;
        sent
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SmtpError> {
        let (address, wait) = ((self.host.as_str(), self.port), self.command_timeout);
        let wrapper = if let Tls::Wrapper(parameters) = &self.tls { Some(parameters.clone()) } else { None };
        let connecting = AsyncSmtpConnection::connect_tokio1(address, Some(wait), &self.hello_name, wrapper, None);
        let mut connection = within(wait, Stage::Greeting, connecting).await?;
        if let Tls::Required(parameters) = &self.tls {
            within(wait, Stage::Tls, connection.starttls(parameters.clone(), &self.hello_name)).await?;
        }
        if let Some(credentials) = &self.credentials {
            within(wait, Stage::Login, connection.auth(DEFAULT_MECHANISMS, credentials)).await?;
        }
        Ok(connection)
    }

    async fn transfer(&self, connection: &mut AsyncSmtpConnection, message: &Message) -> Result<(), SmtpError> {
        let (envelope, wait) = (message.envelope(), self.command_timeout);
        let is_ascii = envelope.to().iter().chain(envelope.from()).all(|address| address.to_string().is_ascii());
        let parameters = if is_ascii { Vec::new() } else { vec![MailParameter::SmtpUtfEight] };
        within(wait, Stage::Sender, connection.command(Mail::new(envelope.from().cloned(), parameters))).await?;
        for recipient in envelope.to() {
            let asked = tokio::time::timeout(wait, connection.command(Rcpt::new(recipient.clone(), Vec::new()))).await;
            match asked {
                Ok(Err(error)) if refuses_recipient(&error) => {
                    let error = smtp_error(Stage::Recipient, &error);
                    return Err(SmtpError { finality: Finality::RecipientRefused, ..error });
                }
                Ok(Err(error)) => return Err(smtp_error(Stage::Recipient, &error)),
                Ok(Ok(_)) => {}
                Err(_) => return Err(timed_out(Stage::Recipient)),
            }
        }
        within(wait, Stage::Message, connection.command(Data)).await?;
        within(MESSAGE_TIMEOUT, Stage::Message, connection.message(&message.formatted())).await?;
        Ok(())
    }
}

/// Returns whether the answer to `RCPT` says that the recipient can't be reached. A refused login (53x) or policy
/// (enhanced code 5.7, as if relaying is denied) is for the operator to fix.
fn refuses_recipient(error: &Error) -> bool {
    let code = error.status().map(u16::from);
    let text = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    error.is_permanent() && !matches!(code, Some(530..=539)) && !text.starts_with("5.7.")
}

async fn within<T>(wait: Duration, stage: Stage, step: impl Future<Output = Result<T, Error>>) -> Result<T, SmtpError> {
    match tokio::time::timeout(wait, step).await {
        Ok(done) => done.map_err(|error| smtp_error(stage, &error)),
        Err(_) => Err(timed_out(stage)),
    }
}

fn smtp_error(stage: Stage, error: &Error) -> SmtpError {
    let message = match error.status().map(u16::from) {
        Some(code) => format!("the mail server answered {code} to {stage}"),
        None if error.is_timeout() => return timed_out(stage),
        None if error.is_tls() => "could not connect securely to the mail server".to_owned(),
        None if stage == Stage::Greeting => "could not connect to the mail server".to_owned(),
        None => format!("the connection to the mail server broke at {stage}"),
    };
    SmtpError { message, finality: Finality::Retry }
}

fn timed_out(stage: Stage) -> SmtpError {
    SmtpError { message: format!("the mail server did not answer {stage} in time"), finality: Finality::Retry }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn tls_is_required_except_to_this_machine() {
        for (text, parsed) in [
            ("smtp://localhost:2525", Some(("localhost", 2525, "none"))),
            ("smtp://127.0.0.1", Some(("127.0.0.1", 25, "none"))),
            ("smtp://[::1]:25", Some(("::1", 25, "none"))),
            ("smtp://localhost?tls=required", Some(("localhost", 587, "required"))),
            ("smtp://10.0.0.1", Some(("10.0.0.1", 587, "required"))),
            ("smtp://a:b@mail.example.com:25", Some(("mail.example.com", 25, "required"))),
            ("smtp://mail.example.com?tls=opportunistic", Some(("mail.example.com", 587, "required"))),
            ("smtps://mail.example.com", Some(("mail.example.com", 465, "wrapper"))),
            ("https://mail.example.com", None),
            ("mail.example.com", None),
        ] {
            let server = SmtpServer::parse(text);
            let found = server.as_ref().map(|server| {
                let tls = match server.tls {
                    Tls::None => "none",
                    Tls::Required(_) => "required",
                    Tls::Wrapper(_) => "wrapper",
                    _ => "other",
                };
                (server.host.as_str(), server.port, tls)
            });
            assert_eq!(found, parsed, "{text}");
        }
    }

    #[test]
    fn user_and_password_are_percent_decoded() {
        let server = SmtpServer::parse("smtps://me%40example.com:a%2Fb+c@mail.example.com/evergrant.example").unwrap();
        assert_eq!(server.credentials, Some(Credentials::new("me@example.com".into(), "a/b+c".into())));
        assert_eq!(server.hello_name, ClientId::Domain("evergrant.example".into()));
    }

    #[tokio::test]
    async fn mail_server_that_says_nothing_is_given_up() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", silent.local_addr().unwrap());
        let server = SmtpServer { command_timeout: Duration::from_millis(50), ..SmtpServer::parse(&url).unwrap() };
        let message = Message::builder().from("a@example.com".parse().unwrap()).to("b@example.com".parse().unwrap());
        assert_eq!(server.send(&message.body(String::new()).unwrap()).await, Err(timed_out(Stage::Greeting)));
    }
}
