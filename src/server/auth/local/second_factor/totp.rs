//! Codes of an authenticator app: TOTP (RFC 6238) with SHA-1, six digits and steps of 30 seconds, which every app
//! supports.

use qrcode::{Color, QrCode};
use totp_rs::{Builder, Totp};

use crate::model::{FactorEnrollment, RevealedSecret};
use crate::server::crypto::random::{RandomError, random_bytes};
use crate::server::domain::Secret;

/// The name of the account's issuer in the app.
const ISSUER: &str = "Evergrant";
/// The seconds of a step.
const STEP_SECONDS: i64 = 30;
/// How many steps before and after the current one are accepted (RFC 6238, 5.2).
const SKEW_STEPS: u16 = 1;
/// Light squares around a QR code (ISO/IEC 18004).
const QR_MARGIN: usize = 4;

/// Returns a new secret of 160 bits in base32, as RFC 4226 recommends.
pub(super) fn new_totp_secret() -> Result<Secret, RandomError> {
    Ok(Secret::new(totp_rs::Secret::from(random_bytes::<20>()?).to_base32()))
}

/// Returns random bits in base32, in lower case.
pub(super) fn random_base32() -> Result<String, RandomError> {
    Ok(totp_rs::Secret::from(random_bytes::<10>()?).to_base32().to_lowercase())
}

/// Returns the time step that a code belongs to, if it is one of those around `now`.
pub(super) fn matching_step(secret: &Secret, code: &str, now: i64) -> Option<i64> {
    let step = totp(secret, "")?.check(code, u64::try_from(now).ok()?)?;
    i64::try_from(step).ok()
}

/// Returns the last time step whose code is accepted at `now`.
pub(super) fn latest_step(now: i64) -> i64 {
    now / STEP_SECONDS + i64::from(SKEW_STEPS)
}

/// Returns what the page shows of a secret: its text, and the QR code of its URI. `None` if the secret is malformed.
pub(super) fn enrollment(secret: &Secret, email: &str) -> Option<FactorEnrollment> {
    let uri = totp(secret, email)?.to_url().ok()?;
    let code = QrCode::new(uri.as_bytes()).ok()?;
    let width = code.width();
    let dark = code.to_colors().into_iter().enumerate().filter(|(_, color)| *color == Color::Dark);
    let squares = dark.map(|(at, _)| format!("M{} {}h1v1h-1z", at % width + QR_MARGIN, at / width + QR_MARGIN));
    let groups: Vec<&str> =
        secret.expose().as_bytes().chunks(4).filter_map(|four| std::str::from_utf8(four).ok()).collect();
    Some(FactorEnrollment {
        secret: RevealedSecret::new(String::new(), &groups.join(" ")),
        qr_path: RevealedSecret::new(String::new(), &squares.collect::<String>()),
        qr_size: width + 2 * QR_MARGIN,
    })
}

fn totp(secret: &Secret, email: &str) -> Option<Totp> {
    let bytes = totp_rs::Secret::try_from_base32(secret.expose()).ok()?;
    // A colon would end the issuer's name in the URI.
    let account = email.replace(':', " ");
    let totp = Builder::new().with_secret(bytes).with_skew(SKEW_STEPS).with_issuer(Some(ISSUER));
    totp.with_account_name(account).build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of RFC 6238's test vectors, "12345678901234567890" in base32.
    const RFC_SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    #[test]
    fn codes_are_those_of_the_rfc() {
        let secret = Secret::new(RFC_SECRET);
        // RFC 6238, appendix B; the last six of its eight digits.
        for (time, code) in [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924")] {
            assert_eq!(matching_step(&secret, code, time), Some(time / 30), "{time}");
        }
    }

    #[test]
    fn one_step_before_and_after_is_accepted_and_no_more() {
        let secret = Secret::new(RFC_SECRET);
        let step = 1_234_567_890 / 30;
        for (steps_later, accepted) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            let now = (step + steps_later) * 30;
            assert_eq!(matching_step(&secret, "005924", now).is_some(), accepted, "{steps_later}");
            assert_eq!(latest_step(now), step + steps_later + 1);
        }
        for malformed in ["", "5924", "0005924", "00592x", "005924 ", "\u{ff10}05924"] {
            assert_eq!(matching_step(&secret, malformed, step * 30), None, "{malformed:?}");
        }
        assert_eq!(matching_step(&Secret::new("not base32!"), "005924", step * 30), None);
    }

    #[test]
    fn page_shows_the_secret_in_groups_and_a_qr_code() {
        let secret = new_totp_secret().unwrap();
        assert_eq!(secret.expose().len(), 32);
        let shown = enrollment(&secret, "ann@example.com").unwrap();
        assert_eq!(shown.secret.expose().replace(' ', ""), secret.expose());
        // A finder pattern of seven squares is in the corner, after the margin.
        assert!(shown.qr_path.expose().starts_with("M4 4h1v1h-1zM5 4h1v1h-1zM6 4"));
        let url = totp(&secret, "ann:x@example.com").unwrap().to_url().unwrap();
        assert!(url.starts_with("otpauth://totp/Evergrant:ann%20x%40example.com?secret="), "{url}");
    }
}
