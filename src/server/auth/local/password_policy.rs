//! What a new password must be. The only way to a [`NewPassword`], which is all that is ever hashed.

use std::collections::HashSet;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;

use crate::model::{MIN_PASSWORD_CHARACTERS, PasswordProblem};
use crate::server::domain::Secret;

/// Common passwords that are long enough; the file names its source.
static COMMON_PASSWORDS: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("common_passwords.txt").lines().filter(|line| !line.starts_with('#')).collect());

/// Fewer characters than these that differ from each other make a password as easy to guess as a common one.
const MIN_DISTINCT_CHARACTERS: usize = 5;
/// As many letters and digits a password needs besides the email address's first part.
const MIN_CHARACTERS_BESIDE_EMAIL: usize = 6;
/// A shorter first part is in many words by chance.
const MIN_LOCAL_PART: usize = 3;

/// A password that fits the policy, normalized.
pub struct NewPassword(Secret);

impl NewPassword {
    /// Checks a password that somebody with this email address chose.
    pub fn check(password: &Secret, email: &str) -> Result<Self, PasswordProblem> {
        let password = normalized(password);
        let text = password.expose();
        if text.chars().count() < MIN_PASSWORD_CHARACTERS {
            return Err(PasswordProblem::TooShort);
        }
        let folded = text.to_lowercase();
        let distinct = folded.chars().collect::<HashSet<_>>().len();
        let bare = letters_and_digits(&folded);
        let is_common = |text: &str| COMMON_PASSWORDS.contains(text);
        if distinct < MIN_DISTINCT_CHARACTERS || is_common(&folded) || is_common(&bare) {
            return Err(PasswordProblem::Common);
        }
        if resembles(&bare, email) {
            return Err(PasswordProblem::LikeEmail);
        }
        Ok(Self(password))
    }

    /// Returns the password, to hash it.
    pub(super) fn into_secret(self) -> Secret {
        self.0
    }
}

/// Normalizes a password (NFKC), so that it is the same from every keyboard.
pub(super) fn normalized(password: &Secret) -> Secret {
    Secret::new(password.expose().nfkc().collect::<String>())
}

/// Returns whether the password is the email address or little more than its first part, forwards or backwards.
fn resembles(bare: &str, email: &str) -> bool {
    let email: String = email.nfkc().collect::<String>().to_lowercase();
    let whole = letters_and_digits(&email);
    let first = letters_and_digits(email.rsplit_once('@').map_or(email.as_str(), |(first, _)| first));
    let backwards: String = first.chars().rev().collect();
    if bare == whole {
        return true;
    }
    [&first, &backwards].into_iter().filter(|part| part.chars().count() >= MIN_LOCAL_PART).any(|part| {
        bare.contains(part.as_str()) && bare.replace(part.as_str(), "").chars().count() < MIN_CHARACTERS_BESIDE_EMAIL
    })
}

fn letters_and_digits(text: &str) -> String {
    text.chars().filter(|one| one.is_alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(password: &str, email: &str) -> Option<PasswordProblem> {
        NewPassword::check(&Secret::new(password), email).err()
    }

    #[test]
    fn password_needs_twelve_characters_after_normalization() {
        let email = "ann@example.com";
        assert_eq!(problem("elevenchars", email), Some(PasswordProblem::TooShort));
        assert_eq!(problem("twelve-chars", email), None);
        // Twelve code points of which two compose to one.
        assert_eq!(problem("elevenchare\u{301}", email), Some(PasswordProblem::TooShort));
        assert_eq!(problem("zw\u{f6}lf Zeichen", email), None);
    }

    #[test]
    fn common_passwords_are_refused_in_any_case_and_with_marks_between() {
        for common in
            ["123456789012", "Passwordpassword", "q1w2e3r4t5y6", "1qaz-2wsx-3edc", "aaaaaaaaaaaa", "abababababab"]
        {
            assert_eq!(problem(common, "ann@example.com"), Some(PasswordProblem::Common), "{common}");
        }
        assert!(COMMON_PASSWORDS.len() > 300 && COMMON_PASSWORDS.iter().all(|one| one.len() >= 12));
        assert_eq!(problem("correct horse battery", "ann@example.com"), None);
    }

    #[test]
    fn password_is_more_than_the_email_address() {
        let email = "ann.smith@example.com";
        for close in ["ann.smith@example.com", "AnnSmith2026!", "annsmithannsmith", "htimsnna-123", "Ann Smith 1!"] {
            assert_eq!(problem(close, email), Some(PasswordProblem::LikeEmail), "{close}");
        }
        assert_eq!(problem("ann smith likes tea", email), None);
        assert_eq!(problem("an old umbrella", "an@example.com"), None);
    }

    #[test]
    fn same_password_from_two_keyboards_is_the_same() {
        let composed = normalized(&Secret::new("caf\u{e9} au lait"));
        assert_eq!(composed.expose(), normalized(&Secret::new("cafe\u{301} au lait")).expose());
        assert_eq!(composed.expose(), normalized(&Secret::new("\u{ff43}af\u{e9} au\u{a0}lait")).expose());
    }
}
