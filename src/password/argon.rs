//! argon2id as PHC text, in memory that its caller keeps.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use password_hash::phc::{Ident, Output, ParamsString, PasswordHash, Salt};

use crate::id::random_bytes;

/// OWASP's parameters: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const OUTPUT_LEN: usize = 32;

/// Beyond this, a stored hash is not computed: whoever can write a hash must not be able to stop the gateway.
const MOST_MEMORY_KIB: u32 = 256 * 1024;
const MOST_PASSES: u32 = 16;
const MOST_LANES: u32 = 16;

/// The memory of one hashing thread, reused from hash to hash.
#[derive(Default)]
pub(super) struct Memory(Vec<Block>);

impl Memory {
    /// Memory for `params`; what an unusually costly hash needed is given back after it.
    fn blocks(&mut self, params: &Params) -> &mut [Block] {
        let usual = Params::new(MEMORY_KIB, PASSES, LANES, None).map_or(0, |params| params.block_count());
        self.0.resize(params.block_count().max(usual), Block::new());
        self.0.as_mut_slice()
    }

    fn trim(&mut self) {
        let usual = Params::new(MEMORY_KIB, PASSES, LANES, None).map_or(0, |params| params.block_count());
        self.0.truncate(usual);
        self.0.shrink_to(usual);
    }
}

/// A new hash with a new salt.
pub(super) fn hash(password: &[u8], memory: &mut Memory) -> Result<String, argon2::Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(OUTPUT_LEN))?;
    let salt: [u8; 16] = random_bytes();
    let output = compute(password, &salt, &params, Algorithm::Argon2id, Version::V0x13, OUTPUT_LEN, memory)?;
    phc(&params, &salt, &output).ok_or(argon2::Error::AlgorithmInvalid)
}

/// Whether `stored` is a hash of `password`. What cannot be read or costs too much matches nothing.
pub(super) fn matches(password: &[u8], stored: &str, memory: &mut Memory) -> bool {
    let Some(expected) = Stored::parse(stored) else { return false };
    let computed = compute(
        password,
        expected.salt.as_ref(),
        &expected.params,
        expected.algorithm,
        expected.version,
        expected.output.as_bytes().len(),
        memory,
    );
    memory.trim();
    computed.is_ok_and(|output| {
        aws_lc_rs::constant_time::verify_slices_are_equal(&output, expected.output.as_bytes()).is_ok()
    })
}

struct Stored {
    algorithm: Algorithm,
    version: Version,
    params: Params,
    salt: Salt,
    output: Output,
}

impl Stored {
    fn parse(text: &str) -> Option<Self> {
        let hash = PasswordHash::new(text).ok()?;
        let params = Params::try_from(&hash).ok()?;
        let affordable = params.m_cost() <= MOST_MEMORY_KIB
            && params.t_cost() <= MOST_PASSES
            && params.p_cost() <= MOST_LANES;
        if !affordable {
            return None;
        }
        Some(Self {
            algorithm: Algorithm::try_from(hash.algorithm.as_str()).ok()?,
            version: hash.version.and_then(|version| Version::try_from(version).ok()).unwrap_or_default(),
            params,
            salt: hash.salt?,
            output: hash.hash?,
        })
    }
}

fn compute(
    password: &[u8],
    salt: &[u8],
    params: &Params,
    algorithm: Algorithm,
    version: Version,
    len: usize,
    memory: &mut Memory,
) -> Result<Vec<u8>, argon2::Error> {
    let mut output = vec![0; len];
    Argon2::new(algorithm, version, params.clone()).hash_password_into_with_memory(
        password,
        salt,
        &mut output,
        memory.blocks(params),
    )?;
    Ok(output)
}

fn phc(params: &Params, salt: &[u8], output: &[u8]) -> Option<String> {
    let hash = PasswordHash {
        algorithm: Ident::new("argon2id").ok()?,
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params).ok()?,
        salt: Some(Salt::new(salt).ok()?),
        hash: Some(Output::new(output).ok()?),
    };
    Some(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_matches_its_password_and_no_other() {
        let mut memory = Memory::default();
        let stored = hash(b"correct horse", &mut memory).unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(matches(b"correct horse", &stored, &mut memory));
        assert!(!matches(b"correct horsf", &stored, &mut memory));
        assert_ne!(hash(b"correct horse", &mut memory).unwrap(), stored, "each hash has its own salt");
    }

    #[test]
    fn what_cannot_be_read_matches_nothing() {
        let mut memory = Memory::default();
        for stored in [
            "",
            "!",
            "plain",
            "$argon2id$v=19$m=19456,t=2,p=1$",
            "$argon2id$v=19$m=4194304,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNo",
        ] {
            assert!(!matches(b"plain", stored, &mut memory), "{stored}");
        }
    }

    /// A vector of the reference implementation: another hand than ours.
    #[test]
    fn a_foreign_argon2id_hash_is_read() {
        let mut memory = Memory::default();
        let stored = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        assert!(matches(b"password", stored, &mut memory));
    }
}
