//! CRC-32C, the checksum of the journal's lines.
//!
//! The polynomial is Castagnoli's (RFC 3720, section 12.1), computed eight bytes a step with the tables of Kounavis
//! and Berry ("A systematic approach to building high performance software-based CRC generators", 2005).

/// The polynomial, bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0_u32; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 {
                (sum >> 1) ^ POLYNOMIAL
            } else {
                sum >> 1
            };
            bit += 1;
        }
        tables[0][byte] = sum;
        byte += 1;
    }
    let mut step = 1;
    while step < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[step - 1][byte];
            tables[step][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        step += 1;
    }
    tables
}

/// The checksum of some bytes. With another `seed` than 0 it is that of bytes which follow others, whose checksum
/// the seed is; so a line that is right under one seed is wrong under another.
pub(super) fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    let entry = |table: usize, byte: u8| TABLES[table][usize::from(byte)];
    let mut sum = !seed;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let [a, b, c, d] = sum.to_le_bytes();
        sum = entry(7, word[0] ^ a)
            ^ entry(6, word[1] ^ b)
            ^ entry(5, word[2] ^ c)
            ^ entry(4, word[3] ^ d)
            ^ entry(3, word[4])
            ^ entry(2, word[5])
            ^ entry(1, word[6])
            ^ entry(0, word[7]);
    }
    for byte in words.remainder() {
        sum = (sum >> 8) ^ entry(0, sum.to_le_bytes()[0] ^ byte);
    }
    !sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksums_of_rfc_3720_come_out() {
        assert_eq!(crc32c(0, b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(0, &[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(0, &[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn a_checksum_goes_on_from_the_one_before() {
        let text = b"the work of three lines in one";
        for cut in 0..text.len() {
            assert_eq!(crc32c(crc32c(0, &text[..cut]), &text[cut..]), crc32c(0, text));
        }
        assert_ne!(crc32c(1, text), crc32c(0, text));
    }
}
