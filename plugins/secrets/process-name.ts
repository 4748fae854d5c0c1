// Names that are read by the system, a shell or a runtime before the program: as variables of an agent's process they would decide what code runs,
// and not what a program is told. Whoever may write a secret must not thereby run code as the agent.

/** With everything that begins so. */
const prefixes = [
  // The dynamic loaders of Linux and macOS, and the C library's allocator.
  'LD_', 'DYLD_', 'MALLOC_',
  // Functions that bash takes from its environment.
  'BASH_FUNC_',
  // Interpreters: where modules come from, what is loaded first, options of every start.
  'PYTHON', 'PIP_', 'PERL', 'RUBY', 'LUA_', 'PHP_', 'DOTNET_', 'CORECLR_', 'COR_', 'NPM_CONFIG_',
  // Git runs what its configuration says, and all of that can be said by variables.
  'GIT_',
  // Compilers and what wraps them.
  'RUSTC', 'CARGO_BUILD_', 'CARGO_TARGET_', 'CGO_', 'PKG_CONFIG',
  // Where programs look for their configuration, which may name commands.
  'XDG_', 'SUDO_',
  // The platform's own settings.
  'PLATFORM_', 'BULKHEAD_'
]

/** What begins like those above and only says who someone is. */
const harmless = new Set(['GIT_TOKEN', 'GIT_USERNAME', 'GIT_PASSWORD'])

const names = new Set([
  // What is run, and where it is looked for.
  'PATH', 'PATHEXT', 'HOME', 'SHELL', 'COMSPEC', 'SYSTEMROOT', 'WINDIR', 'PSMODULEPATH', 'CDPATH', 'TMPDIR', 'TMP', 'TEMP',
  // What a shell reads or runs as it starts, before each command, or to split words.
  'ENV', 'BASH_ENV', 'BASHOPTS', 'SHELLOPTS', 'ZDOTDIR', 'IFS', 'PS1', 'PS2', 'PS4', 'PROMPT_COMMAND', 'FPATH', 'INPUTRC',
  // Programs that other programs start.
  'EDITOR', 'VISUAL', 'PAGER', 'MANPAGER', 'BROWSER', 'LESSOPEN', 'LESSCLOSE', 'LESSKEY', 'LESSKEYIN', 'SSH_ASKPASS', 'SSH_AUTH_SOCK', 'SSH_SK_PROVIDER',
  // What the C library itself takes from no environment in programs with more rights.
  'GCONV_PATH', 'GETCONF_DIR', 'GLIBC_TUNABLES', 'HOSTALIASES', 'LOCALDOMAIN', 'LOCPATH', 'NIS_PATH', 'NLSPATH', 'RESOLV_HOST_CONF', 'RES_OPTIONS', 'TZDIR', 'TERMINFO',
  // Node and its package managers.
  'NODE_OPTIONS', 'NODE_PATH', 'NODE_EXTRA_CA_CERTS', 'NODE_TLS_REJECT_UNAUTHORIZED', 'NODE_REPL_EXTERNAL_MODULE', 'NODE_COMPILE_CACHE', 'NODE_V8_COVERAGE',
  'NODE_REDIRECT_WARNINGS', 'YARN_RC_FILENAME', 'YARN_PLUGINS', 'YARN_YARN_PATH', 'COREPACK_NPM_REGISTRY', 'COREPACK_HOME', 'ELECTRON_RUN_AS_NODE',
  // The JVM, PHP, Ruby's and Go's and Rust's tools.
  'JAVA_TOOL_OPTIONS', '_JAVA_OPTIONS', 'JDK_JAVA_OPTIONS', 'JAVA_OPTS', 'JAVA_HOME', 'CLASSPATH', 'MAVEN_OPTS', 'MAVEN_ARGS', 'GRADLE_OPTS', 'ANT_OPTS', 'SBT_OPTS',
  'PHPRC', 'GEM_HOME', 'GEM_PATH', 'BUNDLE_GEMFILE', 'BUNDLE_PATH',
  'GOPATH', 'GOROOT', 'GOFLAGS', 'GOENV', 'GOPROXY', 'GOSUMDB', 'GOINSECURE', 'GONOSUMDB', 'GOPRIVATE', 'GOTOOLCHAIN', 'CARGO_HOME', 'RUSTFLAGS', 'RUSTUP_HOME', 'RUSTUP_TOOLCHAIN',
  // Compilers, linkers and make.
  'CC', 'CXX', 'LD', 'AR', 'CPATH', 'C_INCLUDE_PATH', 'CPLUS_INCLUDE_PATH', 'LIBRARY_PATH', 'COMPILER_PATH', 'GCC_EXEC_PREFIX', 'CFLAGS', 'CXXFLAGS', 'LDFLAGS',
  'MAKEFLAGS', 'GNUMAKEFLAGS', 'MAKEFILES', 'CMAKE_TOOLCHAIN_FILE',
  // Whom a program trusts, and through whom it speaks.
  'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'FTP_PROXY', 'NO_PROXY', 'SSL_CERT_FILE', 'SSL_CERT_DIR', 'CURL_CA_BUNDLE', 'CURL_HOME', 'WGETRC', 'REQUESTS_CA_BUNDLE',
  'OPENSSL_CONF', 'OPENSSL_ENGINES', 'OPENSSL_MODULES', 'KRB5_CONFIG',
  // Configuration of tools that names commands to run for a credential.
  'KUBECONFIG', 'DOCKER_CONFIG', 'DOCKER_HOST', 'AWS_CONFIG_FILE', 'AWS_SHARED_CREDENTIALS_FILE', 'CLOUDSDK_CONFIG'
])

/** In any case: curl reads `https_proxy`, Windows reads `Path`, npm reads `npm_config_…`. */
export function changesProcess (name: string): boolean {
  const upper = name.toUpperCase()
  return names.has(upper) || (prefixes.some(prefix => upper.startsWith(prefix)) && !harmless.has(upper))
}
