//! What a file of the simulated disk holds, and what a loss of power may leave of it.

#[derive(Clone, Default)]
pub(super) struct File {
    /// What a reader sees.
    pub(super) now: Vec<u8>,
    /// What is on the disk for certain.
    pub(super) synced: Vec<u8>,
    /// What came since.
    pub(super) pending: Vec<Piece>,
    pub(super) version: i128,
}

#[derive(Clone)]
pub(super) enum Piece {
    Append(Vec<u8>),
    /// An append that the system gave up on.
    Lost(usize),
    Truncate,
}

/// Where an append may be torn. Of a few lines that are written at once any number may be there.
fn cuts(data: &[u8]) -> Vec<usize> {
    let mut cuts = vec![1, data.len() / 2, data.len().saturating_sub(1)];
    let ends = data.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    cuts.extend(ends.map(|(end, _)| end + 1).filter(|end| *end < data.len()).take(4));
    cuts
}

impl File {
    /// All that a loss of power may leave of it.
    pub(super) fn variants(&self) -> Vec<Vec<u8>> {
        let mut all = vec![self.synced.clone()];
        for count in 1..=self.pending.len() {
            let before = self.image(count - 1, None);
            if let Piece::Append(data) = &self.pending[count - 1] {
                for cut in cuts(data) {
                    let mut torn = before.clone();
                    torn.extend(&data[..cut.min(data.len())]);
                    all.push(torn.clone());
                    torn.resize(before.len() + data.len(), 0);
                    all.push(torn);
                }
            }
            all.push(self.image(count, None));
        }
        for zeroed in 0..self.pending.len() {
            all.push(self.image(self.pending.len(), Some(zeroed)));
        }
        all
    }

    /// The file with so many of its pending pieces, one of them perhaps as zeros.
    pub(super) fn image(&self, count: usize, zeroed: Option<usize>) -> Vec<u8> {
        let mut image = self.synced.clone();
        for (index, piece) in self.pending[..count].iter().enumerate() {
            match piece {
                Piece::Append(data) if zeroed == Some(index) => image.resize(image.len() + data.len(), 0),
                Piece::Append(data) => image.extend(data),
                Piece::Lost(length) => image.resize(image.len() + length, 0),
                Piece::Truncate => image.clear(),
            }
        }
        image
    }

    pub(super) fn sync(&mut self) {
        self.synced = self.image(self.pending.len(), None);
        self.pending.clear();
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.now.extend(bytes);
        self.pending.push(Piece::Append(bytes.to_vec()));
        self.version += 1;
    }
}
