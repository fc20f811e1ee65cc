import tseslint from "typescript-eslint";

// Few rules, each sharp: a floating promise or an unhandled case is a bug here, style is prettier's.
export default tseslint.config({ ignores: ["gen/**", "node_modules/**", "build/**", "**/*.mjs"] }, ...tseslint.configs.recommended, {
  languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
  rules: {
    "@typescript-eslint/no-floating-promises": "error",
    "@typescript-eslint/no-misused-promises": "error",
    "@typescript-eslint/await-thenable": "error",
    "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
    "@typescript-eslint/only-throw-error": "error",
    "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_", caughtErrorsIgnorePattern: "^_" }],
    eqeqeq: "error",
  },
});
