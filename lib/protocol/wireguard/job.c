/*
 * What handshakes cost: the computing, apart from what it is for
 *
 * A message of a handshake takes two to four operations on a curve and some thirty hashes, and nobody else
 * is to wait for that. A job therefore is a value that is computed wherever there is time. It holds copies of
 * all that goes in; when it is back, answer.c and handshake.c look what of it still holds: keys may have
 * changed meanwhile, and peers may be gone.
 */
#include "base/secret.h"
#include "wireguard/device_internal.h"

#define BATCH 16 /* jobs that are computed together */

int jobs_init(struct wg_device *device)
{
	static const size_t places[JOB_SHARES] = {
		[JOB_SHARE_ANSWERS] = ANSWERS_MAX,
		[JOB_SHARE_INITIATIONS] = INITIATIONS_MAX,
		[JOB_SHARE_RESPONSES] = RESPONSES_MAX,
	};
	size_t all = 0;

	for (size_t i = 0; i < JOB_SHARES; i++) {
		device->shares[i].places = device->ops.compute ? places[i] : 1;
		all += device->shares[i].places;
	}
	device->jobs = calloc(all, sizeof(*device->jobs));
	return device->jobs ? 0 : -ENOMEM;
}

static void job_wipe(struct wg_job *job)
{
	noise_handshake_done(&job->handshake);
	dh_key_free(job->identity);
	secret_wipe(job, sizeof(*job));
}

void jobs_done(struct wg_device *device)
{
	for (size_t i = 0; i < device->jobs_made; i++)
		job_wipe(&device->jobs[i]);
	free(device->jobs);
}

static enum job_share share_of(enum job_step step)
{
	switch (step) {
	case JOB_WRITE_INITIATION:
		return JOB_SHARE_INITIATIONS;
	case JOB_READ_RESPONSE:
		return JOB_SHARE_RESPONSES;
	default:
		return JOB_SHARE_ANSWERS;
	}
}

bool job_may_be_taken(const struct wg_device *device, enum job_step step)
{
	const struct job_places *share = &device->shares[share_of(step)];

	return share->out < share->places;
}

struct wg_job *job_take(struct wg_device *device, enum job_step step)
{
	struct wg_job *job = device->free_jobs;

	if (!job_may_be_taken(device, step))
		return NULL;
	if (job)
		device->free_jobs = job->next;
	else
		job = &device->jobs[device->jobs_made++];
	device->shares[share_of(step)].out++;
	job->step = step;
	job->identity = dh_key_ref(device->identity);
	return job;
}

static void job_release(struct wg_device *device, struct wg_job *job)
{
	device->shares[share_of(job->step)].out--;
	job_wipe(job);
	job->next = device->free_jobs;
	device->free_jobs = job;
}

void job_compute(struct wg_device *device, struct wg_job *job, struct wg_time now)
{
	if (device->ops.compute) {
		device->ops.compute(device->context, job);
		return;
	}
	wg_jobs_compute(&job, 1);
	wg_device_take_job(device, job, now);
}

void wg_device_take_job(struct wg_device *device, struct wg_job *job, struct wg_time now)
{
	bool goes_on = false;

	if (device->up) {
		switch (job->step) {
		case JOB_READ_INITIATION:
			goes_on = answer_begin(device, job, now);
			break;
		case JOB_WRITE_RESPONSE:
			answer_finish(device, job, now);
			break;
		case JOB_WRITE_INITIATION:
			handshake_begun(device, job, now);
			break;
		case JOB_READ_RESPONSE:
			handshake_answered(device, job, now);
			break;
		}
	}
	if (!goes_on)
		job_release(device, job);
}

struct wg_job **wg_job_next(struct wg_job *job)
{
	return &job->next;
}

/* The secrets of a job while it is computed. */
struct secrets {
	struct dh_key *ephemeral;
	uint8_t first[DH_SIZE];
	uint8_t second[DH_SIZE];
};

/* Shared secrets that are wanted, and the jobs that they are for. */
struct wanted {
	struct dh_request requests[2 * BATCH];
	struct wg_job *jobs[2 * BATCH];
	size_t count;
};

static void want(struct wanted *wanted, struct wg_job *job, struct dh_key *key,
		 const uint8_t public_key[DH_SIZE], uint8_t *secret)
{
	wanted->requests[wanted->count] = (struct dh_request){ key, public_key, secret, 0 };
	wanted->jobs[wanted->count++] = job;
}

/* A job fails by any of its secrets. */
static void compute_wanted(struct wanted *wanted)
{
	dh_shared_many(wanted->requests, wanted->count);
	for (size_t i = 0; i < wanted->count; i++) {
		if (wanted->requests[i].result < 0)
			wanted->jobs[i]->result = wanted->requests[i].result;
	}
	wanted->count = 0;
}

static bool needs_shared(const struct wg_job *job)
{
	return job->step == JOB_WRITE_RESPONSE || job->step == JOB_WRITE_INITIATION;
}

/* What is computed once for each peer: the secret of the static keys. */
static void find_shared(struct wg_job *const *jobs, size_t count)
{
	struct wanted wanted = { .count = 0 };

	for (size_t i = 0; i < count; i++) {
		struct wg_job *job = jobs[i];

		if (needs_shared(job) && job->shared_state == SHARED_UNKNOWN)
			want(&wanted, job, job->identity, job->remote_static, job->shared);
	}
	compute_wanted(&wanted);
	for (size_t i = 0; i < count; i++) {
		if (!needs_shared(jobs[i]))
			continue;
		if (jobs[i]->result == 0)
			jobs[i]->shared_state = SHARED_KNOWN;
		else if (jobs[i]->result == -EKEYREJECTED)
			jobs[i]->shared_state = SHARED_REJECTED;
	}
}

/* The secrets of the static keys are known: which initiations are the peers', and new ones? */
static void read_timestamps(struct wg_job *const *jobs, size_t count)
{
	uint8_t timestamps[BATCH][NOISE_TIMESTAMP_SIZE];
	struct noise_proof proofs[BATCH];
	struct wg_job *of[BATCH];
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		struct wg_job *job = jobs[i];

		if (job->step != JOB_WRITE_RESPONSE || job->result < 0)
			continue;
		proofs[n] = (struct noise_proof){ &job->handshake, job->shared, &job->initiation,
						  timestamps[n], 0 };
		of[n++] = job;
	}
	noise_read_timestamps(proofs, n);
	for (size_t i = 0; i < n; i++) {
		struct wg_job *job = of[i];

		job->result = proofs[i].result;
		if (job->result < 0)
			continue;
		if (memcmp(timestamps[i], job->timestamp, NOISE_TIMESTAMP_SIZE) <= 0)
			job->result = -ESTALE;
		memcpy(job->timestamp, timestamps[i], NOISE_TIMESTAMP_SIZE);
	}
}

/* Makes the new keys of responses that are still wanted. */
static void make_keys(struct wg_job *const *jobs, size_t count, struct secrets *secrets)
{
	const uint8_t *private_keys[BATCH];
	struct dh_key *keys[BATCH];
	size_t of[BATCH];
	size_t n = 0;
	int r;

	for (size_t i = 0; i < count; i++) {
		struct wg_job *job = jobs[i];

		if (job->step != JOB_WRITE_RESPONSE || job->result < 0)
			continue;
		dh_clamp(job->ephemeral);
		private_keys[n] = job->ephemeral;
		of[n++] = i;
	}
	r = dh_key_new_many(private_keys, n, keys);
	for (size_t i = 0; i < n; i++) {
		struct wg_job *job = jobs[of[i]];

		job->result = r;
		secrets[of[i]].ephemeral = r == 0 ? keys[i] : NULL;
		secret_wipe(job->ephemeral, sizeof(job->ephemeral));
	}
}

static void read_initiations(struct wg_job *const *jobs, size_t count,
			     const struct secrets *secrets)
{
	struct noise_reading readings[BATCH];
	uint8_t self[BATCH][DH_SIZE];
	struct wg_job *of[BATCH];
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		struct wg_job *job = jobs[i];

		if (job->step != JOB_READ_INITIATION || job->result < 0)
			continue;
		dh_key_public(job->identity, self[n]);
		readings[n] = (struct noise_reading){ &job->handshake,	  self[n],
						      secrets[i].first,	  &job->initiation,
						      job->remote_static, 0 };
		of[n++] = job;
	}
	noise_read_initiations(readings, n);
	for (size_t i = 0; i < n; i++)
		of[i]->result = readings[i].result;
}

static void write_responses(struct wg_job *const *jobs, size_t count, const struct secrets *secrets)
{
	struct noise_writing writings[BATCH];
	uint8_t ephemeral[BATCH][DH_SIZE];
	struct wg_job *of[BATCH];
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		struct wg_job *job = jobs[i];

		if (job->step != JOB_WRITE_RESPONSE || job->result < 0)
			continue;
		dh_key_public(secrets[i].ephemeral, ephemeral[n]);
		writings[n] = (struct noise_writing){ &job->handshake,	  ephemeral[n],
						      secrets[i].first,	  secrets[i].second,
						      job->preshared_key, &job->response,
						      &job->keys,	  0 };
		of[n++] = job;
	}
	noise_write_responses(writings, n);
	for (size_t i = 0; i < n; i++)
		of[i]->result = writings[i].result;
}

/* Of handshakes that we began: as many as we like, and so one after the other. */
static void compute_own(struct wg_job *const *jobs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct wg_job *job = jobs[i];

		if (job->result < 0)
			continue;
		if (job->step == JOB_WRITE_INITIATION)
			job->result = noise_write_initiation(&job->handshake, job->identity,
							     job->remote_static, job->shared,
							     job->timestamp, job->ephemeral,
							     &job->initiation);
		else if (job->step == JOB_READ_RESPONSE)
			job->result = noise_read_response(&job->handshake, job->identity,
							  job->preshared_key, &job->response,
							  &job->keys);
	}
}

static void compute_batch(struct wg_job *const *jobs, size_t count)
{
	struct secrets secrets[BATCH];
	struct wanted wanted = { .count = 0 };

	for (size_t i = 0; i < count; i++) {
		jobs[i]->result = 0;
		secrets[i].ephemeral = NULL;
	}
	find_shared(jobs, count);
	read_timestamps(jobs, count);
	make_keys(jobs, count, secrets);
	for (size_t i = 0; i < count; i++) {
		struct wg_job *job = jobs[i];

		if (job->step == JOB_READ_INITIATION) {
			want(&wanted, job, job->identity, job->initiation.ephemeral,
			     secrets[i].first);
			continue;
		}
		if (job->step != JOB_WRITE_RESPONSE || job->result < 0)
			continue;
		want(&wanted, job, secrets[i].ephemeral, job->initiation.ephemeral,
		     secrets[i].first);
		want(&wanted, job, secrets[i].ephemeral, job->remote_static, secrets[i].second);
	}
	compute_wanted(&wanted);
	read_initiations(jobs, count, secrets);
	write_responses(jobs, count, secrets);
	compute_own(jobs, count);
	for (size_t i = 0; i < count; i++)
		dh_key_free(secrets[i].ephemeral);
	secret_wipe(secrets, sizeof(secrets));
}

void wg_jobs_compute(struct wg_job *const *jobs, size_t count)
{
	while (count > 0) {
		size_t batch = count < BATCH ? count : BATCH;

		compute_batch(jobs, batch);
		jobs += batch;
		count -= batch;
	}
}
