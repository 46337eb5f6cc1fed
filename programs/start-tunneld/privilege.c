#include "privilege.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/secret.h"
#include "codec/base64.h"
#include "sandbox/syscall_filter.h"

int privilege_find_user(const char *name, struct privilege_user *ret, struct fault *fault)
{
	const struct passwd *entry = getpwnam(name);

	if (!entry)
		return fault_set(
			fault, FAULT_FILESYSTEM,
			"there is no user \"%s\" to run as; make one (useradd --system %s) or "
			"name another with --user",
			name, name);
	if (entry->pw_uid == 0)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "--user: %s is root; the daemon does not run as root", name);
	*ret = (struct privilege_user){ entry->pw_uid, entry->pw_gid };
	return 0;
}

/* Like `mkdir -p`, with the default mode for the parents. */
static int make_parents(const char *path)
{
	cleanup_free char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	for (char *slash = strchr(copy + (*copy == '/'), '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return 0;
}

/* Whether a directory that belongs to somebody else is none that we may take over: it holds things, and
 * no document. */
static bool is_foreign(int fd, const struct privilege_user *user)
{
	struct stat st;
	struct dirent *entry;
	bool empty = true;
	DIR *directory;
	int copy;

	if (fstat(fd, &st) < 0 || st.st_uid == user->uid ||
	    faccessat(fd, "tunnel.sqlite", F_OK, 0) == 0)
		return false;
	copy = dup(fd);
	directory = copy < 0 ? NULL : fdopendir(copy);
	while (directory && (entry = readdir(directory)))
		empty &= strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	if (directory)
		(void)closedir(directory);
	return !empty;
}

int privilege_prepare_directory(const char *path, const struct privilege_user *user,
				struct fault *fault)
{
	cleanup_close int fd = -EBADF;
	int r = make_parents(path);

	if (r == 0 && mkdir(path, 0700) < 0 && errno != EEXIST)
		r = -errno;
	if (r == 0) {
		fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0 && is_foreign(fd, user))
			return fault_set(fault, FAULT_INVALID_REQUEST,
					 "--datadir: %s holds files of others; name a directory of "
					 "its own",
					 path);
		if (fd < 0 || fchown(fd, user->uid, user->gid) < 0 || fchmod(fd, 0700) < 0)
			r = -errno;
	}
	if (r < 0)
		return fault_set_errno(fault, r, FAULT_FILESYSTEM,
				       "preparing the data directory %s", path);
	return 0;
}

int privilege_take_lock(int *ret_fd, struct fault *fault)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	cleanup_close int fd = -EBADF;

	if (mkdir(COOKIE_DIRECTORY, 0755) < 0 && errno != EEXIST)
		return fault_set_errno(fault, -errno, FAULT_FILESYSTEM, "making the directory %s",
				       COOKIE_DIRECTORY);
	fd = open(LOCK_PATH, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return fault_set_errno(fault, -errno, FAULT_FILESYSTEM, "opening %s", LOCK_PATH);
	if (fcntl(fd, F_SETLK, &lock) < 0) {
		(void)fcntl(fd, F_GETLK, &lock);
		return fault_set(fault, FAULT_FILESYSTEM,
				 "start-tunneld runs on this machine already, as process %d",
				 (int)lock.l_pid);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* A new file takes the old one's place at once: a caller reads the old secret or the new one. */
static int replace_file(const char *path, const char *text)
{
	cleanup_free char *temporary = NULL;
	cleanup_close int fd = -EBADF;
	size_t size = strlen(text);

	if (asprintf(&temporary, "%s.new", path) < 0)
		return -ENOMEM;
	(void)unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd < 0 || fchmod(fd, 0640) < 0)
		return -errno;
	if (write(fd, text, size) != (ssize_t)size)
		return -EIO;
	return rename(temporary, path) < 0 ? -errno : 0;
}

int privilege_write_cookie(char ret_cookie[COOKIE_TEXT_MAX], struct fault *fault)
{
	uint8_t secret[COOKIE_SIZE];
	int r;

	_Static_assert(BASE64_SIZE(COOKIE_SIZE) <= COOKIE_TEXT_MAX, "the cookie's text fits");
	random_bytes(secret, sizeof(secret));
	base64_encode(secret, sizeof(secret), false, ret_cookie);
	secret_wipe(secret, sizeof(secret));
	r = replace_file(COOKIE_PATH, ret_cookie);
	if (r < 0)
		return fault_set_errno(fault, r, FAULT_FILESYSTEM,
				       "writing the secret for local commands to %s", COOKIE_PATH);
	return 0;
}

static void *end_thread(void *ignored)
{
	pthread_exit(ignored);
}

/*
 * Code that is loaded when it is first needed has to be there before the filter, which lets none in later:
 * the modules that OpenSSL's configuration names, and what glibc ends a thread with (libargon2's, of a
 * password with several lanes).
 */
static int load_code(void)
{
	pthread_t thread;
	int r;

	(void)OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
	r = pthread_create(&thread, NULL, end_thread, NULL);
	return r == 0 ? -pthread_join(thread, NULL) : -r;
}

int privilege_drop(const struct privilege_user *user, struct fault *fault)
{
	int r;

	if (setgroups(0, NULL) < 0 || setresgid(user->gid, user->gid, user->gid) < 0 ||
	    setresuid(user->uid, user->uid, user->uid) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return fault_set_errno(fault, -errno, FAULT_FILESYSTEM,
				       "dropping root's privileges");
	if (setuid(0) == 0)
		return fault_set(fault, FAULT_FILESYSTEM, "root's privileges could not be dropped");
	r = load_code();
	if (r == 0)
		r = syscall_filter_serve();
	if (r < 0)
		return fault_set_errno(fault, r, FAULT_FILESYSTEM, "filtering system calls");
	return 0;
}
