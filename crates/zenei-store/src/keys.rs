//! Builds the keyring from the registry's lines and the key files beside it. Must not know radios. Called by `run`,
//! `replay`, `record list`, `scan` and `config check`, each after it has read the registry.
use crate::registry::Registration;
use std::io;
use std::path::{Path, PathBuf};
use zenei_wire::bthome::{Address, AddressError, BindKey, BindKeyError, Keyring, Lock};
use zenei_wire::{DeviceId, NameError, SiteId};

/// The most bytes of a key file: 32 digits with room for white space. A guess; a key file that is larger is another
/// file.
const MAX_KEY_FILE_BYTES: u64 = 256;

/// Why the registry's addresses and keys can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// An address that is not valid.
    #[error("the address of {device_id}")]
    Address {
        /// Whose.
        device_id: String,
        /// What is wrong.
        #[source]
        source: AddressError,
    },
    /// Two locks with one address: an advertisement could be either's.
    #[error("{device_id} and {other} both have the address {address}; a lock has its own")]
    SharedAddress {
        /// One.
        device_id: String,
        /// The other.
        other: String,
        /// The address.
        address: Address,
    },
    /// A key of a lock without address: the key alone decrypts nothing.
    #[error("{device_id} has a bind_key_file, but no address; an advertisement is decrypted with both")]
    NoAddress {
        /// Whose.
        device_id: String,
    },
    /// A key file that can't be read.
    #[error("the bind key of {device_id} can't be read from {path}")]
    File {
        /// Whose.
        device_id: String,
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// A file that holds no key.
    #[error("the bind key of {device_id} in {path}")]
    Key {
        /// Whose.
        device_id: String,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: BindKeyError,
    },
    /// An id that is not a valid name: the registry's reader accepts none.
    #[error("the device_id or site of {device_id}")]
    Name {
        /// Whose.
        device_id: String,
        /// What is wrong.
        #[source]
        source: NameError,
    },
}

/// The keyring of a registry. A key file holds 32 hex digits, or the 16 bytes themselves; its path is relative to
/// `folder`, the registry's. A lock without a site, and a device that is in no registry, is at `site`.
///
/// # Errors
/// See [`KeysError`]; the first one found.
pub fn keyring(registrations: &[Registration], folder: &Path, site: SiteId) -> Result<Keyring, KeysError> {
    let mut keyring = Keyring::new(site);
    for registration in registrations {
        let device_id = registration.device_id.clone();
        if registration.address.is_empty() {
            if !registration.bind_key_file.is_empty() {
                return Err(KeysError::NoAddress { device_id });
            }
            continue;
        }
        let address: Address = match registration.address.parse() {
            Ok(address) => address,
            Err(source) => return Err(KeysError::Address { device_id, source }),
        };
        let lock = lock(registration, folder, keyring.site())?;
        if let Some(other) = keyring.add(address, lock) {
            return Err(KeysError::SharedAddress { device_id, other: other.device.as_str().to_owned(), address });
        }
    }
    Ok(keyring)
}

fn lock(registration: &Registration, folder: &Path, site: &SiteId) -> Result<Lock, KeysError> {
    let bad_name = |source| KeysError::Name { device_id: registration.device_id.clone(), source };
    let device = DeviceId::new(&registration.device_id).map_err(bad_name)?;
    let site = match registration.site.as_str() {
        "" => site.clone(),
        known => SiteId::new(known).map_err(bad_name)?,
    };
    let key = match registration.bind_key_file.as_str() {
        "" => None,
        file => Some(key(&registration.device_id, folder.join(file))?),
    };
    Ok(Lock { device, site, key })
}

fn key(device_id: &str, path: PathBuf) -> Result<BindKey, KeysError> {
    let device_id = device_id.to_owned();
    let read = std::fs::metadata(&path).and_then(|file| {
        if file.len() > MAX_KEY_FILE_BYTES {
            let what = format!("the file has {} bytes; a bind key is 32 hex digits", file.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        std::fs::read(&path)
    });
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(source) => return Err(KeysError::File { device_id, path, source }),
    };
    if let Ok(raw) = <[u8; 16]>::try_from(bytes.as_slice()) {
        return Ok(BindKey::new(raw));
    }
    let text = String::from_utf8_lossy(&bytes);
    text.parse().map_err(|source| KeysError::Key { device_id, path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration(device_id: &str, address: &str, bind_key_file: &str) -> Registration {
        Registration {
            device_id: device_id.into(),
            address: address.into(),
            bind_key_file: bind_key_file.into(),
            ..Registration::default()
        }
    }

    fn read(lines: &[Registration]) -> Result<Keyring, KeysError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("hex.key"), "231d39c1d7cc1ab1aee224cd096db932\n").unwrap();
        std::fs::write(folder.path().join("raw.key"), [7; 16]).unwrap();
        std::fs::write(folder.path().join("short.key"), "231d").unwrap();
        std::fs::write(folder.path().join("large.key"), [b'a'; 1_000]).unwrap();
        keyring(lines, folder.path(), SiteId::new("tokyo-01").unwrap())
    }

    fn check(lines: &[Registration], said: &str) {
        let error = read(lines).unwrap_err();
        let mut told = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            told.push_str(&format!(": {error}"));
            cause = error.source();
        }
        let shown: String = told.split(' ').map(|word| word.rsplit('/').next().unwrap()).collect::<Vec<_>>().join(" ");
        assert_eq!(shown, said);
    }

    #[test]
    fn a_lock_has_its_address_its_site_and_its_key() {
        let elsewhere = Registration { site: "osaka-02".into(), ..registration("BL2", "c0ffee000002", "raw.key") };
        let lines = [
            registration("BL1", "C0:FF:EE:00:00:01", "hex.key"),
            elsewhere,
            registration("BL3", "C0:FF:EE:00:00:03", ""),
            registration("BL4", "", ""),
        ];
        let keyring = read(&lines).unwrap();
        let locks: Vec<_> = keyring
            .iter()
            .map(|(address, lock)| (address.0[5], lock.device.as_str(), lock.site.as_str(), lock.key.clone()))
            .collect();
        let hex: BindKey = "231d39c1d7cc1ab1aee224cd096db932".parse().unwrap();
        let expected = [
            (1, "BL1", "tokyo-01", Some(hex)),
            (2, "BL2", "osaka-02", Some(BindKey::new([7; 16]))),
            (3, "BL3", "tokyo-01", None),
        ];
        assert_eq!(locks, expected);
    }

    #[test]
    fn what_can_not_be_used_is_told_with_its_lock_and_without_the_key() {
        check(
            &[registration("BL1", "C0:FF", "")],
            "the address of BL1: 'C0:FF' is no Bluetooth address; six pairs of hex digits are, like C0:FF:EE:00:00:01 (also with - or nothing between them)",
        );
        check(
            &[registration("BL1", "c0ffee000001", ""), registration("BL2", "C0:FF:EE:00:00:01", "")],
            "BL2 and BL1 both have the address C0:FF:EE:00:00:01; a lock has its own",
        );
        check(
            &[registration("BL1", "", "hex.key")],
            "BL1 has a bind_key_file, but no address; an advertisement is decrypted with both",
        );
        check(
            &[registration("BL1", "c0ffee000001", "absent.key")],
            "the bind key of BL1 can't be read from absent.key: No such file or directory (os error 2)",
        );
        check(
            &[registration("BL1", "c0ffee000001", "short.key")],
            "the bind key of BL1 in short.key: has 4 hex digits and 0 other characters; a bind key is 32 hex digits",
        );
        check(
            &[registration("BL1", "c0ffee000001", "large.key")],
            "the bind key of BL1 can't be read from large.key: the file has 1000 bytes; a bind key is 32 hex digits",
        );
    }
}
