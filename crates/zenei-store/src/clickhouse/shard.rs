//! Computes the shard of a row in a cluster: the one that its `Distributed` table would choose, so that rows can be
//! written straight to it, on each retry to the same one. Must not know servers. Called by the shipper.

/// The shard of a key among `shards` of equal weight: ClickHouse's `cityHash64(key) % shards`.
pub(super) fn shard_of(key: &str, shards: usize) -> usize {
    let shards = u64::try_from(shards).unwrap_or(u64::MAX).max(1);
    usize::try_from(city_hash_64(key.as_bytes()) % shards).unwrap_or(0)
}

// CityHash 1.0.2 of G. Pike and J. Alakuijala, which ClickHouse has under the name cityHash64; later versions differ.
// Ids have at most 64 bytes (telemetry contract), so the original's code for longer keys is left out.
const K0: u64 = 0xc3a5_c85c_97cb_3127;
const K1: u64 = 0xb492_b66f_be98_f273;
const K2: u64 = 0x9ae1_6a3b_2f90_404f;
const K3: u64 = 0xc949_d7c7_509e_6557;
const K_MUL: u64 = 0x9ddf_ea08_eb38_2d69;
/// The longest key.
const MAX_BYTES: usize = 64;

fn city_hash_64(key: &[u8]) -> u64 {
    let key = &key[..key.len().min(MAX_BYTES)];
    match key.len() {
        0 => K2,
        1..=3 => hash_1_to_3(key),
        4..=8 => hash_16((key.len() as u64).wrapping_add(fetch_32(key, 0) << 3), fetch_32(key, key.len() - 4)),
        9..=16 => hash_9_to_16(key),
        17..=32 => hash_17_to_32(key),
        _ => hash_33_to_64(key),
    }
}

fn hash_1_to_3(key: &[u8]) -> u64 {
    let [a, b, c] = [key[0], key[key.len() / 2], key[key.len() - 1]].map(u32::from);
    let y = a.wrapping_add(b << 8);
    let z = (key.len() as u32).wrapping_add(c << 2);
    shift_mix(u64::from(y).wrapping_mul(K2) ^ u64::from(z).wrapping_mul(K3)).wrapping_mul(K2)
}

fn hash_9_to_16(key: &[u8]) -> u64 {
    let (first, last) = (fetch_64(key, 0), fetch_64(key, key.len() - 8));
    hash_16(first, last.wrapping_add(key.len() as u64).rotate_right(key.len() as u32)) ^ last
}

fn hash_17_to_32(key: &[u8]) -> u64 {
    let (a, b) = (fetch_64(key, 0).wrapping_mul(K1), fetch_64(key, 8));
    let (c, d) = (fetch_64(key, key.len() - 8).wrapping_mul(K2), fetch_64(key, key.len() - 16).wrapping_mul(K0));
    hash_16(
        a.wrapping_sub(b).rotate_right(43).wrapping_add(c.rotate_right(30)).wrapping_add(d),
        a.wrapping_add((b ^ K3).rotate_right(20)).wrapping_sub(c).wrapping_add(key.len() as u64),
    )
}

fn hash_33_to_64(key: &[u8]) -> u64 {
    let length = key.len();
    let a = fetch_64(key, 0).wrapping_add((length as u64).wrapping_add(fetch_64(key, length - 16)).wrapping_mul(K0));
    let (vf, vs) = half(a, fetch_64(key, 24), fetch_64(key, 8), fetch_64(key, 16));
    let a = fetch_64(key, 16).wrapping_add(fetch_64(key, length - 32));
    let (wf, ws) = half(a, fetch_64(key, length - 8), fetch_64(key, length - 24), fetch_64(key, length - 16));
    let r = vf.wrapping_add(ws).wrapping_mul(K2).wrapping_add(wf.wrapping_add(vs).wrapping_mul(K0));
    shift_mix(shift_mix(r).wrapping_mul(K0).wrapping_add(vs)).wrapping_mul(K2)
}

fn half(mut a: u64, z: u64, second: u64, third: u64) -> (u64, u64) {
    let b = a.wrapping_add(z).rotate_right(52);
    let mut c = a.rotate_right(37);
    a = a.wrapping_add(second);
    c = c.wrapping_add(a.rotate_right(7));
    a = a.wrapping_add(third);
    (a.wrapping_add(z), b.wrapping_add(a.rotate_right(31)).wrapping_add(c))
}

fn hash_16(low: u64, high: u64) -> u64 {
    let a = (low ^ high).wrapping_mul(K_MUL);
    let a = a ^ (a >> 47);
    let b = (high ^ a).wrapping_mul(K_MUL);
    (b ^ (b >> 47)).wrapping_mul(K_MUL)
}

fn shift_mix(value: u64) -> u64 {
    value ^ (value >> 47)
}

fn fetch_32(key: &[u8], at: usize) -> u64 {
    (0..4).fold(0, |value, byte| value | u64::from(key[at + byte]) << (8 * byte))
}

fn fetch_64(key: &[u8], at: usize) -> u64 {
    (0..8).fold(0, |value, byte| value | u64::from(key[at + byte]) << (8 * byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: [(usize, u64); 21] = [
        (1, 14079773497573441104),
        (2, 12081030611035443894),
        (3, 6301128978862809176),
        (4, 11616826301270375775),
        (7, 10333822925950277860),
        (8, 1553172828681283806),
        (9, 1047574542073233933),
        (12, 369304307978026422),
        (15, 11944547729296650847),
        (16, 18187002168736058966),
        (17, 15684282288323573220),
        (24, 1819710830791199615),
        (31, 7827519921215613035),
        (32, 6216493074423231361),
        (33, 17876799923714502766),
        (40, 18440776903107451488),
        (47, 12971930905676500391),
        (48, 1184319829677512437),
        (49, 10698340606519419363),
        (63, 15922085436705442852),
        (64, 17536691019952378632),
    ];

    #[test]
    fn the_hash_is_that_of_clickhouse_for_every_length_of_an_id() {
        // SELECT cityHash64(substring(repeat('BL0000123-tokyo', 5), 1, {length})), ClickHouse 26.7.2.1.
        let text = "BL0000123-tokyo".repeat(5);
        for (length, expected) in EXPECTED {
            assert_eq!(city_hash_64(&text.as_bytes()[..length]), expected, "{length} bytes");
        }
    }

    #[test]
    fn a_key_has_one_shard_of_those_that_there_are() {
        assert_eq!(shard_of("BL0000123", 0), 0);
        assert_eq!(shard_of("BL0000123", 1), 0);
        let found: std::collections::BTreeSet<usize> = (0..99).map(|n| shard_of(&format!("BL{n}"), 3)).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [0, 1, 2]);
    }
}
