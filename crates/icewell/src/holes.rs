//! Blocks of zeros, which are not written: they read as zeros all the same, and take no room.

/// Zeros are looked for in blocks of this many bytes: what file systems allocate at least.
const BLOCK: usize = 4096;

/// The parts of `bytes`, which lie at `offset` of the image, that have to be written: all but the zeros of each block.
pub(crate) fn data_runs(bytes: &[u8], offset: u64) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let in_block = usize::try_from((offset + start as u64) % BLOCK as u64).unwrap_or(0);
        let end = bytes.len().min(start + BLOCK - in_block);
        if bytes[start..end].iter().any(|byte| *byte != 0) {
            match runs.last_mut() {
                Some(run) if run.1 == start => run.1 = end,
                _ => runs.push((start, end)),
            }
        }
        start = end;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_leave_out_the_zeros_of_each_block() {
        let mut bytes = vec![0; 5 * BLOCK];
        assert_eq!(data_runs(&bytes, 0), []);
        bytes[BLOCK] = 1;
        assert_eq!(data_runs(&bytes, 0), [(BLOCK, 2 * BLOCK)]);
        bytes[2 * BLOCK + 7] = 1;
        bytes[4 * BLOCK] = 1;
        assert_eq!(data_runs(&bytes, 0), [(BLOCK, 3 * BLOCK), (4 * BLOCK, 5 * BLOCK)]);
        assert_eq!(data_runs(&[1, 0], 4095), [(0, 1)]);
        assert_eq!(data_runs(&[0, 1], 4095), [(1, 2)]);
        assert_eq!(data_runs(&[], 1), []);
    }
}
