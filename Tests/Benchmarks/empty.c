// The shortest process there is: what starting anything costs.
int main(void) { return 0; }
