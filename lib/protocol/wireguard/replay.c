#include "wireguard/replay.h"

/* Moves the top of the window up to @word; the words that it passes are empty. */
static void replay_advance(struct replay *replay, uint64_t word)
{
	uint64_t top = replay->next ? (replay->next - 1) / 64 : 0;
	uint64_t passed = word - top;

	if (passed > REPLAY_WORDS)
		passed = REPLAY_WORDS;
	for (uint64_t i = 0; i < passed; i++)
		replay->bits[(word - i) % REPLAY_WORDS] = 0;
}

bool replay_accept(struct replay *replay, uint64_t counter)
{
	uint64_t word = counter / 64;
	uint64_t bit = UINT64_C(1) << counter % 64;
	uint64_t *bits = &replay->bits[word % REPLAY_WORDS];

	if (counter >= replay->next) {
		replay_advance(replay, word);
		replay->next = counter + 1;
	} else if (replay->next - counter > REPLAY_WINDOW) {
		return false;
	}
	if (*bits & bit)
		return false;
	*bits |= bit;
	return true;
}
