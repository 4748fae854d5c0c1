// Lists the names of environment variables that the system, a shell or a runtime reads before the program does. In an
// agent's process such a variable would decide which code runs. A user who may write a secret must not be able to run
// code as the agent that way.

/** Prefixes of such names. Every name with one of these prefixes is included. */
const prefixes = [
  // The dynamic loaders of Linux and macOS, and the allocator of the C library.
  'LD_', 'DYLD_', 'MALLOC_',
  // Functions that bash imports from its environment.
  'BASH_FUNC_',
  // Interpreters: module paths, code that is loaded first, and options of every start.
  'PYTHON', 'PIP_', 'PERL', 'RUBY', 'LUA_', 'PHP_', 'DOTNET_', 'CORECLR_', 'COR_', 'NPM_CONFIG_',
  // Git runs commands from its configuration, and variables can set all of that configuration.
  'GIT_',
  // Compilers and their wrappers.
  'RUSTC', 'CARGO_BUILD_', 'CARGO_TARGET_', 'CGO_', 'PKG_CONFIG',
  // Folders in which programs look for their configuration, which may name commands.
  'XDG_', 'SUDO_',
  // The platform's own settings.
  'PLATFORM_', 'BULKHEAD_'
]

/** Names with one of the prefixes above that only state an identity or a credential. */
const harmless = new Set(['GIT_TOKEN', 'GIT_USERNAME', 'GIT_PASSWORD'])

const names = new Set([
  // Programs to run, and the paths in which they are searched.
  'PATH', 'PATHEXT', 'HOME', 'SHELL', 'COMSPEC', 'SYSTEMROOT', 'WINDIR', 'PSMODULEPATH', 'CDPATH', 'TMPDIR', 'TMP', 'TEMP',
  // Files and commands that a shell reads or runs at its start or before each command, and the characters by which it
  // splits words.
  'ENV', 'BASH_ENV', 'BASHOPTS', 'SHELLOPTS', 'ZDOTDIR', 'IFS', 'PS1', 'PS2', 'PS4', 'PROMPT_COMMAND', 'FPATH', 'INPUTRC',
  // Programs that other programs start.
  'EDITOR', 'VISUAL', 'PAGER', 'MANPAGER', 'BROWSER', 'LESSOPEN', 'LESSCLOSE', 'LESSKEY', 'LESSKEYIN', 'SSH_ASKPASS', 'SSH_AUTH_SOCK', 'SSH_SK_PROVIDER',
  // Variables that the C library ignores in privileged programs.
  'GCONV_PATH', 'GETCONF_DIR', 'GLIBC_TUNABLES', 'HOSTALIASES', 'LOCALDOMAIN', 'LOCPATH', 'NIS_PATH', 'NLSPATH', 'RESOLV_HOST_CONF', 'RES_OPTIONS', 'TZDIR', 'TERMINFO',
  // Node and its package managers.
  'NODE_OPTIONS', 'NODE_PATH', 'NODE_EXTRA_CA_CERTS', 'NODE_TLS_REJECT_UNAUTHORIZED', 'NODE_REPL_EXTERNAL_MODULE', 'NODE_COMPILE_CACHE', 'NODE_V8_COVERAGE',
  'NODE_REDIRECT_WARNINGS', 'YARN_RC_FILENAME', 'YARN_PLUGINS', 'YARN_YARN_PATH', 'COREPACK_NPM_REGISTRY', 'COREPACK_HOME', 'ELECTRON_RUN_AS_NODE',
  // The JVM, PHP, and the tools of Ruby, Go and Rust.
  'JAVA_TOOL_OPTIONS', '_JAVA_OPTIONS', 'JDK_JAVA_OPTIONS', 'JAVA_OPTS', 'JAVA_HOME', 'CLASSPATH', 'MAVEN_OPTS', 'MAVEN_ARGS', 'GRADLE_OPTS', 'ANT_OPTS', 'SBT_OPTS',
  'PHPRC', 'GEM_HOME', 'GEM_PATH', 'BUNDLE_GEMFILE', 'BUNDLE_PATH',
  'GOPATH', 'GOROOT', 'GOFLAGS', 'GOENV', 'GOPROXY', 'GOSUMDB', 'GOINSECURE', 'GONOSUMDB', 'GOPRIVATE', 'GOTOOLCHAIN', 'CARGO_HOME', 'RUSTFLAGS', 'RUSTUP_HOME', 'RUSTUP_TOOLCHAIN',
  // Compilers, linkers and make.
  'CC', 'CXX', 'LD', 'AR', 'CPATH', 'C_INCLUDE_PATH', 'CPLUS_INCLUDE_PATH', 'LIBRARY_PATH', 'COMPILER_PATH', 'GCC_EXEC_PREFIX', 'CFLAGS', 'CXXFLAGS', 'LDFLAGS',
  'MAKEFLAGS', 'GNUMAKEFLAGS', 'MAKEFILES', 'CMAKE_TOOLCHAIN_FILE',
  // Certificates that a program trusts, and proxies through which it connects.
  'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'FTP_PROXY', 'NO_PROXY', 'SSL_CERT_FILE', 'SSL_CERT_DIR', 'CURL_CA_BUNDLE', 'CURL_HOME', 'WGETRC', 'REQUESTS_CA_BUNDLE',
  'OPENSSL_CONF', 'OPENSSL_ENGINES', 'OPENSSL_MODULES', 'KRB5_CONFIG',
  // Configuration of tools that may name commands to run for a credential.
  'KUBECONFIG', 'DOCKER_CONFIG', 'DOCKER_HOST', 'AWS_CONFIG_FILE', 'AWS_SHARED_CREDENTIALS_FILE', 'CLOUDSDK_CONFIG'
])

/**
 * Tells whether the variable changes how a process runs. Case is ignored: curl reads `https_proxy`, Windows reads
 * `Path`, npm reads `npm_config_…`.
 */
export function changesProcess (name: string): boolean {
  const upper = name.toUpperCase()
  return names.has(upper) || (prefixes.some(prefix => upper.startsWith(prefix)) && !harmless.has(upper))
}
